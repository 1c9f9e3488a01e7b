"""``--vassal-defaults``: which settings a vassal gets, and how they reach what is known already."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import trio
from emperord.journal.events import Spec
from emperord.monitors import contract, defaults

MERGED = {
    "its own wins": ({"umask": "027"}, {"umask": "077"}, {"umask": "077"}),
    "a limit can be lowered": ({"as": "1G"}, {"as": "512M"}, {"as": "512M"}),
    "a limit cannot be raised": ({"as": "1G"}, {"as": "2G"}, {"as": "1G"}),
    "a limit of the cgroup, too": (
        {"memory-max": "1G", "tasks-max": "100", "cpu-weight": "50"},
        {"memory-max": "1T", "tasks-max": "99", "cpu-weight": "10000"},
        {"memory-max": "1G", "tasks-max": "99", "cpu-weight": "50"},
    ),
    "variables add up": (
        {"environment": "A=1 B=1"},
        {"environment": "B=2"},
        {"environment": "A=1 B=1 B=2"},
    ),
    "a directory is for a command": ({"directory": "/srv"}, {}, {}),
    "a directory": (
        {"directory": "/srv"},
        {"command": "x"},
        {"directory": "/srv", "command": "x"},
    ),
    "another user's group": ({"user": "a", "group": "b"}, {"user": "c"}, {"user": "c"}),
}


@pytest.mark.parametrize(("given", "own", "found"), MERGED.values(), ids=MERGED)
def test_merged(given: dict[str, str], own: dict[str, str], found: dict[str, str]) -> None:
    assert defaults.merged(own, given) == found
    spec = Spec(ts=1, settings=own)
    changed = defaults.with_defaults(spec, given)
    assert changed.settings == found
    assert defaults.without_defaults(changed) == spec


def test_a_config_that_cannot_be_read_has_none() -> None:
    spec = Spec(ts=1, bar="[emperor] x: no such setting")
    assert defaults.with_defaults(spec, {"umask": "077"}) is spec


def test_a_later_file_wins(tmp_path: Path) -> None:
    first, second = tmp_path / "a.ini", tmp_path / "b.yml"
    first.write_text("[emperor]\nnofile = 100\numask = 027\n")
    second.write_text("emperor: {umask: '077', directory: /srv}\n")
    found = {"nofile": "100", "umask": "077", "directory": "/srv"}
    assert defaults.read([str(first), str(second)]) == found


BAD = {
    "a command": (
        "[emperor]\ncommand = x\n",
        "[emperor] command: each vassal needs its own; remove it",
    ),
    "a wrong value": (
        "[emperor]\numask = x\n",
        "[emperor] umask: x is no mask; write it in octal, as 027",
    ),
    "nothing": (
        "[uwsgi]\n",
        "it has no settings; write a section [emperor] into a file .ini, .yml or .json",
    ),
}


@pytest.mark.parametrize(("text", "reason"), BAD.values(), ids=BAD)
def test_a_file_that_cannot_be_used(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "d.ini"
    file.write_text(text)
    with pytest.raises(defaults.BadDefaults) as caught:
        defaults.read([str(file)])
    assert str(caught.value) == f"--vassal-defaults {file}: {reason}"


# Sources

GIVEN = {"umask": "077"}
PLAIN = Spec(ts=1, config="d" * 64, settings={"nofile": "9"})
FULL = defaults.with_defaults(PLAIN, GIVEN)


class Source:
    """A source that tells these observations, and notes what was known."""

    url, trusts_content = "zmq://x", True

    def __init__(self, *tells: contract.Observation) -> None:
        self.tells = tells
        self.known: Mapping[str, Spec] = {}

    async def run(self, tell: contract.Tell, known: Mapping[str, Spec]) -> None:
        self.known = known
        for observation in self.tells:
            await tell(observation)


class Announcing(Source):
    async def reach(self) -> None:
        await trio.lowlevel.checkpoint()


def run(
    source: Source, known: Mapping[str, Spec], given: Mapping[str, str] = GIVEN
) -> list[contract.Observation]:
    """The observations of a source whose vassals have defaults."""
    told: list[contract.Observation] = []

    async def tell(*observations: contract.Observation) -> None:
        told.extend(observations)
        await trio.lowlevel.checkpoint()

    trio.run(defaults.given(source, given).run, tell, known)
    return told


def test_without_defaults_a_source_is_itself() -> None:
    source = Source()
    assert defaults.given(source, {}) is source


@pytest.mark.parametrize(("kind", "announces"), [(Source, False), (Announcing, True)])
def test_a_source_announces_as_before(kind: type[Source], announces: bool) -> None:
    assert isinstance(defaults.given(kind(), GIVEN), contract.Announcer) is announces


def test_a_source_tells_its_own_and_knows_its_own() -> None:
    source = Source(
        contract.Listing({"a.ini": contract.Seen(PLAIN, b"x")}, {"b": "bad"}),
        contract.Touched("c.ini", contract.Seen(PLAIN)),
        contract.Vanished("c.ini"),
    )
    assert run(source, {"a.ini": FULL}) == [
        contract.Listing({"a.ini": contract.Seen(FULL, b"x")}, {"b": "bad"}),
        contract.Touched("c.ini", contract.Seen(FULL)),
        contract.Vanished("c.ini"),
    ]
    assert source.known == {"a.ini": PLAIN}


FORMER = defaults.with_defaults(PLAIN, {"umask": "022"})
ALTERED = Spec(ts=1, settings=FORMER.settings, own_settings=FORMER.own_settings)


@pytest.mark.parametrize("before", [PLAIN, FORMER])
def test_what_was_announced_before_gets_the_defaults_of_today(before: Spec) -> None:
    """An outage tells nothing of vassals, and a text that is not there cannot be told."""
    outage, recovered = contract.Failed("away"), contract.Recovered()
    source = Announcing(outage, recovered, recovered)
    known = {"a.ini": before, "b.ini": FULL, "c.ini": ALTERED}
    renewed = contract.Touched("a.ini", contract.Seen(FULL))
    assert run(source, known) == [outage, renewed, recovered, recovered]
