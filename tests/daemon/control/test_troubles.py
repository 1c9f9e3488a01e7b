"""The troubles of one vassal: that of its process is never hidden by a change that was refused."""

import pytest
from emperord.daemon.control.waiting import Verdict, verdict
from emperord.daemon.core.troubles import Cheap, troubles
from fold.script import play

READY = "daemon started; daemon ready"
UP = f"{READY}; added a.ini; spawned a.ini; accepting a.ini"
REFUSED = "changed a.ini ts=2 preflight=check; refused a.ini reason='it lies'"
DIES = "exited a.ini code=1; deadline a.ini; spawned a.ini"
RELOAD_HANGS = "operator reload a.ini; deadline a.ini"
MOVES = f"{UP}; changed a.ini listen=:81; unopened a.ini reason=taken"
REPLACED = f"{READY}; added a.ini listen=:83 reload=replace; accepting a.ini"
NOTIFIES = f"{READY}; added a.ini command=x ready=notify; spawned a.ini; accepting a.ini"

HANGS = ("hanging", "has not said that it accepts")
THROTTLED = ("throttled", "death 1 in a row: exit code 1")

# A history, and of each trouble: what, and its reason.
TROUBLES: dict[str, tuple[str, list[tuple[str, str | None]]]] = {
    "a reload hangs": (f"{UP}; {RELOAD_HANGS}", [HANGS]),
    "a reload hung, and is over": (f"{UP}; {RELOAD_HANGS}; accepting a.ini", []),
    "a reload hangs, of one that died often": (
        f"{UP}; {DIES}; {DIES}; {DIES}; accepting a.ini; {RELOAD_HANGS}",
        [HANGS],
    ),
    "a start hangs, of one that died often": (
        f"{UP}; {DIES}; {DIES}; {DIES}; deadline a.ini",
        [("hanging", "slow to start")],
    ),
    "a reload that a program tells of hangs": (
        f"{NOTIFIES}; reloads a.ini; deadline a.ini",
        [HANGS],
    ),
    "a program confirms no reload": (
        f"{READY}; added a.ini command=x; spawned a.ini; {RELOAD_HANGS}",
        [],
    ),
    "no worker before its first client": (
        f"{READY}; added a.ini; spawned a.ini; ready a.ini; deadline a.ini",
        [],
    ),
    "refused": (f"{UP}; {REFUSED}", [("refused", "it lies")]),
    "refused, and throttled": (
        f"{UP}; {REFUSED}; exited a.ini code=1",
        [THROTTLED, ("refused", "it lies")],
    ),
    "refused, and its reload hangs": (
        f"{UP}; {REFUSED}; operator reload a.ini; exited a.ini; accepting a.ini; {RELOAD_HANGS}",
        [HANGS, ("refused", "it lies")],
    ),
    "refused, and barred for another reason": (
        f"{UP}; {REFUSED}; exited a.ini code=26",
        [("barred", "exit code 26: it asked not to be started again"), ("refused", "it lies")],
    ),
    "refused, and barred for that": (
        f"{READY}; added a.ini preflight=check; refused a.ini reason='it lies'",
        [("barred", "its config was refused: it lies")],
    ),
    "rolled back, and throttled": (
        f"policy rollback=1; {UP}; changed a.ini ts=2; exited a.ini code=1; exited a.ini code=1",
        [THROTTLED, ("rolled back", "exit code 1")],
    ),
    "a new address cannot be had": (MOVES, [("refused", "its change waits: taken")]),
    "an address is tried again": (f"{MOVES}; operator reload a.ini", []),
    "another change came": (f"{MOVES}; changed a.ini ts=3", []),
    "it was not replaced": (
        f"{REPLACED}; operator reload a.ini; exited a.ini attempt=2 code=3",
        [("refused", "not replaced: its new instance ended: exit code 3")],
    ),
    "its change waits for its next start": (
        f"{READY}; added a.ini reload=none; accepting a.ini; changed a.ini ts=2 reload=none",
        [],
    ),
}


@pytest.mark.parametrize(("history", "told"), TROUBLES.values(), ids=TROUBLES)
def test_troubles_of_a_vassal(history: str, told: list[tuple[str, str | None]]) -> None:
    script = play(history)
    found = troubles(script.fleet.vassals["a.ini"], script.now, lambda _: False)
    assert [(each.what, each.reason) for each in found] == told


CONFIGS = {
    "ini": (b"[uwsgi]\ncheap = true\nidle = 60\n", True),
    "ini, without a value": (b"[uwsgi]\ncheap\n", True),
    "yaml": (b"uwsgi:\n  cheap: 1\n", True),
    "xml": (b"<uwsgi><cheap/></uwsgi>", True),
    "json": (b'{"uwsgi": {"cheap": true}}', True),
    "cheaper": (b"[uwsgi]\ncheaper = 2\ncheaper-algo = spare\n", False),
    "another word": (b"[uwsgi]\nstats = /run/very-cheap.sock\n", False),
    "it is not there any more": (None, False),
}


@pytest.mark.parametrize(("text", "is_cheap"), CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize(
    "history",
    [f"{UP}; {RELOAD_HANGS}", f"{NOTIFIES}; reloads a.ini; deadline a.ini"],
    ids=["uWSGI", "a program"],
)
def test_uwsgi_with_cheap_says_nothing_before_its_first_client(
    text: bytes | None, is_cheap: bool, history: str
) -> None:
    asked: list[str] = []

    def content(digest: str) -> bytes | None:
        asked.append(digest)
        return text

    script, cheap = play(history), Cheap(content)
    vassal = script.fleet.vassals["a.ini"]
    is_well = is_cheap and vassal.speaks
    for _ in range(2):
        found = [each.what for each in troubles(vassal, script.now, cheap)]
        assert found == ([] if is_well else ["hanging"])
    state = verdict(script.fleet, "a.ini", "up", script.now, cheap)
    assert state == (Verdict("ready") if is_well else None)
    assert asked == (["c1"] if vassal.speaks else [])
