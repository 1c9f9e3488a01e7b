"""The vassals that ``emperor-ctl list`` shows, and their order."""

from typing import Any

import pytest
from emperord.daemon.client.choosing import ORDERS, Unknown, ordered, select

SOURCES = {"dir:///v": "dir:v", "pg://x": "pg:x"}


def vassal(name: str, phase: str = "ready", monitor: str = "dir:///v", **more: Any) -> Any:
    return {"name": name, "phase": phase, "monitor": monitor, "pid": 7, **more}


FLEET = [
    vassal("a.ini", restarts=0, since="2026-11-24T06:00:00Z"),
    vassal("app-1.ini", "throttled", restarts=3, since="2026-11-24T08:00:00Z"),
    vassal("app-2.ini", "barred", "pg://x", restarts=9, since="2026-11-24T07:00:00Z"),
    vassal("app-*", monitor="ldap://gone", restarts=None),
]


def names(**conditions: Any) -> list[str]:
    return [each["name"] for each in select(FLEET, SOURCES, **conditions)]


CHOSEN: list[Any] = [
    pytest.param({}, ["a.ini", "app-1.ini", "app-2.ini", "app-*"], id="all"),
    pytest.param({"names": ["a.ini"]}, ["a.ini"], id="name"),
    pytest.param({"names": ["app-?.ini"]}, ["app-1.ini", "app-2.ini"], id="pattern"),
    pytest.param({"names": ["app-*"]}, ["app-*"], id="name like a pattern"),
    pytest.param({"names": ["a.ini", "app-1*"]}, ["a.ini", "app-1.ini"], id="several"),
    pytest.param({"phases": ["barred", "throttled"]}, ["app-1.ini", "app-2.ini"], id="phases"),
    pytest.param({"monitor": "pg:x"}, ["app-2.ini"], id="source by name"),
    pytest.param({"monitor": "dir:///v"}, ["a.ini", "app-1.ini"], id="source by URL"),
    pytest.param({"monitor": "ldap://gone"}, ["app-*"], id="source that is not there any more"),
    pytest.param({"names": ["app-?*.ini"], "monitor": "pg:x"}, ["app-2.ini"], id="both"),
    pytest.param({"names": ["a.ini"], "phases": ["barred"]}, [], id="none"),
]


@pytest.mark.parametrize(("conditions", "found"), CHOSEN)
def test_the_chosen(conditions: dict[str, Any], found: list[str]) -> None:
    assert names(**conditions) == found


REFUSED: list[Any] = [
    pytest.param({"names": ["a"]}, r"there is no vassal a; did you mean a\.ini\?", id="no ending"),
    pytest.param({"names": ["b.ini"]}, r"there is no vassal b\.ini$", id="nothing is near"),
    pytest.param({"names": ["a.ini", "zzz"]}, "there is no vassal zzz", id="one of two"),
    pytest.param({"names": ["b*\x1b"]}, r"no vassal fits b\*\\x1b", id="pattern"),
    pytest.param({"monitor": "x"}, "there is no source x; there are .*pg:x \\(pg://x", id="source"),
    pytest.param({"monitor": "dir:///w"}, r"no source dir:///w; did you mean dir:///v\?", id="URL"),
]


@pytest.mark.parametrize(("conditions", "said"), REFUSED)
def test_what_fits_nothing_is_refused(conditions: dict[str, Any], said: str) -> None:
    with pytest.raises(Unknown, match=said):
        names(**conditions)


@pytest.mark.parametrize(
    ("by", "reverse", "order"),
    [
        ("name", False, ["a.ini", "app-*", "app-1.ini", "app-2.ini"]),
        ("name", True, ["app-2.ini", "app-1.ini", "app-*", "a.ini"]),
        ("restarts", False, ["app-2.ini", "app-1.ini", "a.ini", "app-*"]),
        ("restarts", True, ["a.ini", "app-1.ini", "app-2.ini", "app-*"]),
        ("since", False, ["app-1.ini", "app-2.ini", "a.ini", "app-*"]),
        ("phase", False, ["app-2.ini", "a.ini", "app-*", "app-1.ini"]),
    ],
)
def test_orders(by: str, reverse: bool, order: list[str]) -> None:
    """Unknown values are last in both directions, equal ones are by name."""
    assert [each["name"] for each in ordered(FLEET, by, reverse)] == order


@pytest.mark.parametrize("by", ORDERS)
def test_a_daemon_that_does_not_tell_all_is_sorted_as_well(by: str) -> None:
    bare = [vassal("b.ini"), vassal("a.ini")]
    assert [each["name"] for each in ordered(bare, by)] == ["a.ini", "b.ini"]
