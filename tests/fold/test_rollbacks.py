"""When a change is rolled back, as a table; and the second opinion on the golden scripts."""

from pathlib import Path

import pytest
from emperord.daemon.core.target import unkept_text

from .rollbacks import Rollbacks
from .script import Script, play

GOLDEN = sorted((Path(__file__).parent / "golden").glob("r*.txt"))
BEGIN = """
    policy forgive=60 start_patience=30
    daemon started
    daemon ready
    added a.ini ts=1 rollback=2
    accepting a.ini
    changed a.ini ts=2 rollback=2
    accepting a.ini
"""
DIES = "exited a.ini code=1"
TRIES = "deadline a.ini; accepting a.ini"
KILLED = "daemon started; adopted a.ini; daemon ready"
PROGRAM = """
    policy start_patience=30
    daemon started
    daemon ready
    added a.ini ts=1 command=x inline=yes rollback=1
    spawned a.ini
    at +31s
    changed a.ini ts=2 command=y inline=yes rollback=1
    exited a.ini
    spawned a.ini
"""
REPLACED = """
    policy forgive=60
    daemon started
    daemon ready
    added a.ini ts=1 listen=:80 reload=replace rollback=1
    accepting a.ini
    changed a.ini ts=2 listen=:80 reload=replace rollback=1
    accepting a.ini
    deadline a.ini of=candidate
    exited a.ini code=0 attempt=1
"""

# Its new instance has not said yet that it is ready, and the old one has run for long enough.
TRIED = """
    policy start_patience=30 max_starting=1
    daemon started
    daemon ready
    added a.ini ts=1 command=x inline=yes listen=:80 reload=replace rollback=1
    spawned a.ini
    changed a.ini ts=2 inline=yes listen=:80 reload=replace ready-timeout=5m rollback=1
    at +31s
"""
# Both instances that it had have ended.
ENDED = "exited a.ini code=0 attempt=1; exited a.ini code=0 attempt=2"
REFUSED = "refused a.ini reason=no"
PREFLIGHT = """
    policy start_patience=30
    daemon started
    daemon ready
    added a.ini ts=1 command=x inline=yes
    spawned a.ini
    changed a.ini ts=2 command=x inline=yes preflight=check
    at +31s
"""
TURN = """
    policy start_patience=30 rollout=1
    daemon started
    daemon ready
    added b.ini ts=1
    accepting b.ini
    added a.ini ts=1 command=x inline=yes
    spawned a.ini
    changed b.ini ts=2
    changed a.ini ts=2 command=x inline=yes preflight=check
    at +31s
"""


def followed(text: str) -> Script:
    """A script that the second opinion follows."""
    script, second = Script(), Rollbacks(_must)
    for line in filter(None, map(str.strip, text.replace(";", "\n").splitlines())):
        known = len(script.events)
        script.feed(line)
        if len(script.events) > known:
            second.see(script.events[-1], script.fleet)
    return script


def _must(holds: bool, said: str) -> None:
    assert holds, said


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_the_second_opinion_agrees_with_the_golden_scripts(path: Path) -> None:
    paragraphs = path.read_text().split("\n\n")
    lines = [line for each in paragraphs for line in each.partition("----")[0].splitlines()]
    followed("\n".join(line for line in lines if not line.startswith("#")))


@pytest.mark.parametrize(
    ("story", "back"),
    [
        pytest.param(f"{DIES}; {TRIES}; {DIES}", True, id="accepts and dies twice"),
        pytest.param(DIES, False, id="accepts and dies once"),
        pytest.param(f"{DIES}; {TRIES}; at +59s; {DIES}", True, id="59 s are not enough"),
        pytest.param(f"{DIES}; {TRIES}; at +60s; {DIES}; {DIES}", False, id="60 s are enough"),
        pytest.param(f"{DIES}; {TRIES}; loyal a.ini; {DIES}", False, id="it became loyal"),
        pytest.param(
            f"{DIES}; {TRIES}; at +59s; {KILLED}; at +2s; {DIES}", False, id="the time goes on"
        ),
        pytest.param(f"{DIES}; {TRIES}; {KILLED}; {DIES}", True, id="so do the failures"),
        pytest.param(
            f"{DIES}; {TRIES}; at +40s; operator reload a.ini; accepting a.ini; at +40s; {DIES}",
            True, id="a reload begins the time anew",
        ),
        pytest.param(
            f"{DIES}; {TRIES}; at +60s; operator reload a.ini; {DIES}",
            False, id="a reload after the time",
        ),
        pytest.param(
            f"{DIES}; {TRIES}; silent a.ini; exited a.ini signal=9", True, id="it hangs, too"
        ),
        pytest.param(f"at +60s; {DIES}; {TRIES}; {DIES}", False, id="good before it dies"),
        pytest.param(f"{DIES}; {TRIES}; exited a.ini code=26", False, id="exit code 26"),
        pytest.param(
            f"{DIES}; {TRIES}; at +59s; error a.ini gone=yes; operator start a.ini; {DIES}",
            True, id="an error of the daemon, before the time",
        ),
        pytest.param(
            f"{DIES}; {TRIES}; at +60s; error a.ini gone=yes; operator start a.ini; {DIES}",
            False, id="an error of the daemon, after the time",
        ),
    ],
)  # fmt: skip
def test_what_accepted(story: str, back: bool) -> None:
    assert _is_back(f"{BEGIN}\n{story}") == back


@pytest.mark.parametrize(
    ("story", "back"),
    [
        pytest.param(f"{PROGRAM}\n{DIES}", True, id="a program that cannot say so"),
        pytest.param(f"{PROGRAM}\nat +30s\n{DIES}", False, id="a program, after start-patience"),
        pytest.param(f"{REPLACED}\n{DIES}", True, id="a new instance that took over"),
        pytest.param(f"{REPLACED}\nat +60s\n{DIES}", False, id="a new instance, after the time"),
        pytest.param(
            f"{TRIED}\noperator restart a.ini\n{ENDED}\n{DIES}",
            True, id="restarted while its new instance starts",
        ),
        pytest.param(
            BEGIN.replace("forgive=60", "forgive=0") + f"at +29s; {DIES}; {TRIES}; {DIES}",
            True, id="without forgiveness, before start-patience",
        ),
        pytest.param(
            BEGIN.replace("forgive=60", "forgive=0") + f"at +30s; {DIES}; {TRIES}; {DIES}",
            False, id="without forgiveness, after start-patience",
        ),
    ],
)  # fmt: skip
def test_other_kinds(story: str, back: bool) -> None:
    assert _is_back(story) == back


@pytest.mark.parametrize(
    ("story", "former"),
    [
        pytest.param("", "c2", id="it has not failed"),
        pytest.param(f"{DIES}; {TRIES}", "c1", id="it has failed before"),
        pytest.param(f"{DIES}; {TRIES}; at +60s", "c2", id="it has failed long before"),
        pytest.param(f"{DIES}; deadline a.ini", "c1", id="it does not accept now"),
    ],
)
def test_an_edit_goes_back_to(story: str, former: str) -> None:
    """The next change is bad."""
    script = followed(f"{BEGIN}\n{story}\nchanged a.ini ts=3 rollback=1\n")
    vassal = script.fleet.vassals["a.ini"]
    assert vassal.good is not None
    assert vassal.good.spec is not None
    assert vassal.good.spec.config == former


@pytest.mark.parametrize(
    "story",
    [
        pytest.param("operator restart a.ini", id="an operator restarts it"),
        pytest.param("failed a.ini fault=interrupted", id="its new instance was not started"),
        pytest.param("removed a.ini", id="its source removes it"),
        pytest.param("error a.ini", id="the daemon meets an error"),
    ],
)
def test_what_ran_well_is_good_when_a_change_is_not_tried_any_more(story: str) -> None:
    """The wanted config is the target from then on, so a later look would be too late."""
    good = followed(f"{TRIED}\n{story}").fleet.vassals["a.ini"].good
    assert good is not None
    assert good.spec is not None
    assert (good.spec.config, good.untried) == ("c1", False)


@pytest.mark.parametrize(
    ("story", "found"),
    [
        pytest.param(f"{PREFLIGHT}\n{REFUSED}\noperator retry a.ini", "c1", id="a retry"),
        pytest.param(f"{TURN}\naccepting b.ini", "untried", id="checked in its turn"),
        pytest.param(f"{TURN}\naccepting b.ini\npassed a.ini", "c1", id="passed in its turn"),
        pytest.param(
            "policy forgive=60; daemon started; daemon ready; added a.ini ts=1; accepting a.ini;"
            "at +60s; changed a.ini ts=1",
            "wanted", id="told again what it runs",
        ),
    ],
)  # fmt: skip
def test_the_second_opinion_looks_when_the_fold_does(story: str, found: str) -> None:
    good = followed(story).fleet.vassals["a.ini"].good
    assert good is not None
    told = "wanted" if good.spec is None else "untried" if good.untried else good.spec.config
    assert told == found


def test_without_a_limit_no_former_spec_is_kept() -> None:
    script = followed(BEGIN.replace(" rollback=2", ""))
    good = script.fleet.vassals["a.ini"].good
    assert good is not None
    assert good.spec is None


@pytest.mark.parametrize(
    ("program", "warns"),
    [pytest.param("", True, id="uWSGI"), pytest.param("command=x", False, id="a command")],
)
def test_a_text_that_an_error_kept_from_the_record(program: str, warns: bool) -> None:
    """The daemon has met an error about the file of a uWSGI before, too."""
    errors = [f"error a.ini ts={ts} from=a rollback=1" for ts in (1, 2)]
    fleet = play(f"daemon started; daemon ready; {errors[0]}; {errors[1]} {program}").fleet
    assert (unkept_text(fleet.vassals["a.ini"], fleet.policy) is not None) == warns


def _is_back(text: str) -> bool:
    refused = followed(text).fleet.vassals["a.ini"].refused
    return refused is not None and refused.rolled_back
