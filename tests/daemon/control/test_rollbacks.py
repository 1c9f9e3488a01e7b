"""``emperor-ctl rollback``: vassals go back to former configs by an operator's word."""

import json
import re
from typing import Any

import pytest
from support.asking import asked
from support.kept import Emperor
from support.vassals import shell

from ..conftest import MakeEmperor

A = "a.ini"


def text(number: int, **settings: str) -> str:
    return shell(f": {number}; exec sleep 1000", ready="exec:true", **settings)


def digests(emperor: Emperor) -> list[str]:
    """Of the configs that a.ini was given, in order."""
    events = (*emperor.events("vassal_added", A), *emperor.events("vassal_changed", A))
    return [event.body["spec"]["config"] for event in events]


def put(emperor: Emperor, text: str) -> None:
    """Write the next config, and wait until it accepts."""
    seq = emperor.last_seq()
    emperor.put(A, text)
    changed = emperor.event("vassal_changed", A, after=seq)
    emperor.event("vassal_accepting", A, after=changed.seq)


@pytest.fixture
def three(make_emperor: MakeEmperor) -> Emperor:
    """A daemon with a vassal that has had three configs, all of them good."""
    emperor = make_emperor()
    emperor.put(A, text(1))
    emperor.start()
    emperor.event("vassal_accepting", A)
    put(emperor, text(2))
    put(emperor, text(3))
    return emperor


def back(emperor: Emperor, *words: str) -> dict[str, Any]:
    """Go back, and show the vassal."""
    done = emperor.ctl("rollback", A, *words)
    assert (done.returncode, done.stderr) == (0, ""), done
    return dict(asked(emperor, "show", A))


def test_to_the_last_good_one_and_on(three: Emperor) -> None:
    """Again it goes further back. The daemon that comes next keeps it, and --cancel ends it."""
    first, second, third = digests(three)
    done = three.ctl("rollback", A, "--reason", "slow since noon")
    [_, changed, _] = (*three.events("vassal_added", A), *three.events("vassal_changed", A))
    assert done.stdout == f"a.ini: now accepting, with config {second[:12]} (event {changed.seq})\n"
    shown = asked(three, "show", A)
    assert (shown["running"], shown["target"], shown["config"]) == (second, second, third)
    assert shown["rolled_back"]["reason"] == "uid 0 asked for it: slow since noon"
    [request] = three.events("operator_requested", A)
    assert (request.body["request"], request.body["uid"]) == ("rollback", 0)
    assert request.body["reason"] == "slow since noon"
    assert back(three)["running"] == first
    three.restart()
    assert asked(three, "show", A)["running"] == first
    refused = three.ctl("rollback", A)
    assert refused.returncode == 1
    assert "a.ini: the journal has no config before with which it was accepting" in refused.stderr
    shown = back(three, "--cancel")
    assert (shown["running"], shown["rolled_back"]) == (third, None)
    assert "a.ini: nothing of it was rolled back" in three.ctl("rollback", A, "--cancel").stderr
    three.stop()


def test_to_one_that_is_named(three: Emperor) -> None:
    first, second, third = digests(three)
    added = three.event("vassal_added", A).seq
    assert back(three, "--to", str(added))["running"] == first
    assert back(three, "--to", second[:12].upper())["running"] == second
    told = three.ctl("rollback", A, "--to", f"@{added}", "--json").stdout
    assert json.loads(told) == {
        "name": A, "phase": "accepting", "config": first, "event": added
    }  # fmt: skip
    [again] = three.ctl("rollback", A, "--to", first).stderr.splitlines()
    assert again.endswith("is the one that is started already")
    [wanted] = three.ctl("rollback", A, "--to", third).stderr.splitlines()
    assert wanted.endswith("is the wanted one; --cancel goes back to it")
    put(three, text(4))
    assert asked(three, "show", A)["rolled_back"] is None
    three.stop()


HOSTILE = {
    "another kind": ("4", "event 4 (daemon_ready) gave it no config"),
    "a later event": ("999999", "the journal has no event 999999; it has 1 to"),
    "no digest of it": ("abcdef", "the journal has no config abcdef of it"),
    "short": ("abc", "to: 'abc' is neither the number of an event nor 6 to 64 digits of a digest"),
    "long": ("a" * 65, "is neither the number of an event nor"),
    "negative": ("-1", "to: '-1' is neither"),
    "empty": ("", "to: '' is neither"),
    "SQL": ("' OR 1=1 --", "is neither the number of an event nor"),
    "a pattern of SQL": ("%%%%%%", "is neither the number of an event nor"),
    "other digits": ("١٢٣", "is neither the number of an event nor"),
    "escapes": ("\x1b[2J\n", "is neither the number of an event nor"),
    "large": ("9" * 40, "the journal has no config 9999"),
}


def test_hostile_values(three: Emperor) -> None:
    for told, said in HOSTILE.values():
        refused = three.ctl("rollback", A, f"--to={told}")
        assert refused.returncode == 1, refused
        assert said in refused.stderr
        assert len(refused.stderr) < 400
        assert "\x1b" not in refused.stderr
    assert asked(three, "show", A)["rolled_back"] is None
    assert "there is no vassal b.ini" in three.ctl("rollback", "b.ini").stderr
    assert three.ctl("rollback", A, "--to", "1", "--cancel").returncode == 2
    three.stop()


def test_a_text_that_cannot_be_copied_and_a_held_vassal(make_emperor: MakeEmperor) -> None:
    emperor = make_emperor(speakers=True)
    emperor.put(A, "[uwsgi]\n# %d\nsay 5\n")
    emperor.start()
    emperor.event("vassal_accepting", A)
    put(emperor, "[uwsgi]\n# another\nsay 5\n")
    added = emperor.event("vassal_added", A).seq
    [bound] = emperor.ctl("rollback", A, "--to", str(added)).stderr.splitlines()
    assert "has %d, which means another thing in a copy" in bound
    put(emperor, "[uwsgi]\n# a third\nsay 5\n")
    emperor.ctl("stop", A)
    held = emperor.ctl("rollback", A)
    assert "it is held, as an operator stopped it; 'emperor-ctl start' starts it" in held.stderr
    emperor.ctl("start", A)
    done = emperor.ctl("rollback", A)
    assert done.returncode == 0
    assert re.fullmatch(
        r"a.ini: now accepting, with config [0-9a-f]{12} \(event [0-9]+\)\n", done.stdout
    )
    emperor.stop()


def test_a_rollback_of_a_held_vassal_is_cancelled(three: Emperor) -> None:
    """It stays down, and starts with the wanted config. ``explain`` tells what is next."""
    *_, third = digests(three)
    back(three)
    notes = asked(three, "explain", A)["notes"]
    assert not [note for note in notes if "it gets this next" in note]
    three.ctl("stop", A)
    done = three.ctl("rollback", A, "--cancel")
    assert (done.returncode, done.stdout, done.stderr) == (0, "a.ini: now held\n", "")
    three.ctl("start", A)
    assert asked(three, "show", A)["running"] == third
    three.stop()


def test_one_that_is_held_back_goes_back_from_what_it_runs(make_emperor: MakeEmperor) -> None:
    """Its change waits in a rollout, as another one has failed. It runs its second config."""
    emperor = make_emperor("--rollout", "1", "--freq", "60")
    emperor.put(A, text(1))
    emperor.put("b.ini", text(1))
    emperor.start()
    emperor.event("vassal_accepting", A)
    put(emperor, text(2))
    emperor.put("b.ini", "[emperor]\ncommand = sh -c 'exit 3'\n")
    emperor.event("exited", "b.ini", code=3)
    seq = emperor.last_seq()
    emperor.put(A, text(3))
    emperor.event("vassal_changed", A, after=seq)
    first, second, third = digests(emperor)
    shown = asked(emperor, "show", A)
    assert (shown["running"], shown["config"]) == (second, third)
    assert shown["rollout"]["state"] == "held"
    assert back(emperor)["running"] == first
    told = emperor.ctl("rollout")
    assert re.fullmatch(
        r"rollout \d+ of dir:vassals: 0 of 1 done, 1 failed( \(over since .*Z\))?\n"
        r"  b\.ini: exit code 3\n",
        told.stdout,
    ), told
    emperor.stop()


def test_it_waits_until_the_new_instance_has_taken_over(make_emperor: MakeEmperor) -> None:
    """The former config is started beside the one that serves. Where that fails, it is told."""
    emperor = make_emperor()
    place = f"{emperor.folder}/listen"
    replaced = {"listen": place, "reload": "replace", "replace_settle": "300ms"}
    broken = emperor.folder / "broken"

    def its(number: int) -> str:
        script = f": {number}; [ {number} = 1 ] && [ -e {broken} ] && exit 3; exec sleep 1000"
        return shell(script, ready="50ms", **replaced)

    emperor.put(A, its(1))
    emperor.start()
    emperor.event("vassal_accepting", A)
    put(emperor, its(2))
    first, second = digests(emperor)
    emperor.until(lambda: asked(emperor, "show", A)["running"] == second, "it has taken over")
    assert back(emperor)["running"] == first
    shown = back(emperor, "--cancel")
    assert (shown["running"], shown["rolled_back"]) == (second, None)
    broken.touch()
    failed = emperor.ctl("rollback", A)
    assert failed.returncode == 1
    assert "not replaced: its new instance ended: exit code 3" in failed.stderr
    emperor.stop()


def test_a_cancelled_rollback_whose_preflight_fails_has_failed(three: Emperor) -> None:
    seq = three.last_seq()
    three.put(A, text(4, preflight="false"))
    three.event("deploy_refused", A, after=seq)
    back(three)
    failed = three.ctl("rollback", A, "--cancel")
    assert failed.returncode == 1
    assert "its change was refused: its preflight ended with exit code 1" in failed.stderr
    three.stop()
