"""How the daemon before ended is recorded; the death and the return of the keeper are events."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from emperord.daemon.keeper import protocol, renewal
from emperord.journal.store import Journal
from emperord.replay.verify import verify
from emperord.version import VERSION
from journal_builder import Builder
from support import processes
from support.kept import Emperor
from support.vassals import SLEEPER
from support.waiting import until

from ..conftest import MakeEmperor


@pytest.fixture
def emperor(make_emperor: MakeEmperor) -> Emperor:
    emperor = make_emperor()
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("a.ini")
    return emperor


def before(emperor: Emperor) -> dict[str, Any]:
    """The last daemon tells this of the one before it."""
    told: dict[str, Any] = emperor.events("daemon_started")[-1].body["before"]
    return told


def killed(number: int) -> Callable[[Emperor], None]:
    def end(emperor: Emperor) -> None:
        seq = emperor.last_seq()
        emperor.kill_daemon(number)
        emperor.next_ready(seq)

    return end


def stopped(emperor: Emperor) -> None:
    emperor.stop()
    emperor.start()


def renewed(emperor: Emperor) -> None:
    seq = emperor.last_seq()
    emperor.send(signal.SIGUSR2)
    emperor.next_ready(seq)


def both_killed(emperor: Emperor) -> None:
    daemon, seq = emperor.daemon_pid(), emperor.last_seq()
    os.kill(emperor.pid, signal.SIGSTOP)
    os.kill(daemon, signal.SIGKILL)
    emperor.kill()
    until(lambda: not processes.alive(daemon), "both are gone")
    emperor.launch()
    emperor.next_ready(seq)


@pytest.mark.parametrize(
    ("end", "told", "known"),
    [
        (stopped, {"how": "told"}, True),
        (killed(signal.SIGKILL), {"how": "killed", "signal": 9}, True),
        (killed(signal.SIGSEGV), {"how": "killed", "signal": 11}, True),
        (renewed, {"how": "replaced"}, True),
        (both_killed, {"how": "unknown"}, False),
    ],
    ids=["told", "SIGKILL", "SIGSEGV", "replaced", "both killed"],
)
def test_how_the_daemon_before_ended(
    emperor: Emperor, end: Callable[[Emperor], None], told: dict[str, Any], known: bool
) -> None:
    assert "before" not in emperor.events("daemon_started")[0].body
    end(emperor)
    found = before(emperor)
    assert ("away" in found) == known
    assert 0 <= found.pop("away", 0) <= found.pop("silent")
    assert found == {**told, "version": VERSION}
    emperor.stop()
    assert verify(str(emperor.journal)).exit_code == 0


def test_another_boot(emperor: Emperor) -> None:
    emperor.stop()
    with Journal.open(str(emperor.journal)) as journal:
        builder = Builder(journal)
        builder.event(
            "daemon_started",
            version="0.1.9",
            boot="another boot",
            pid=1,
            policy=builder.fleet.policy,
            monitors=builder.fleet.monitors,
            rules=2,
        )
    emperor.start()
    found = before(emperor)
    assert found.pop("silent") > 0
    assert found == {"how": "rebooted", "version": "0.1.9"}


def test_the_death_and_the_return_of_the_keeper_are_events(emperor: Emperor) -> None:
    keeper, seq = emperor.pid, emperor.last_seq()
    emperor.kill()
    lost = emperor.event("keeper_lost", after=seq)
    assert lost.body["pid"] == keeper
    emperor.launch()
    emperor.next_ready(lost.seq)
    back = emperor.event("keeper_back", after=lost.seq)
    assert back.body["pid"] == emperor.pid
    assert before(emperor)["how"] == "replaced"
    seq = emperor.last_seq()
    emperor.restart()
    assert "keeper_back" not in emperor.kinds(after=seq)
    emperor.stop()
    assert verify(str(emperor.journal)).exit_code == 0


def memory_of_a_daemon(*packets: dict[str, Any]) -> protocol.Memory:
    memory = protocol.Memory(lambda _: None)
    memory.greeting()
    for each in packets:
        memory.told(each, [3] if each["do"] == "keep" else [])
    return memory


ENDED = {"pid": 7, "code": None, "signal": 9, "at": 1}
KEEP = {"do": "keep", "name": protocol.JOURNAL, "about": {}}


@pytest.mark.parametrize(
    ("packets", "worked", "told"),
    [
        ([{"do": "hear", "version": 2}, KEEP], True, True),
        ([{"do": "hear", "version": 2}], True, False),
        ([KEEP], False, True),
        ([{"do": "hear"}], True, True),
        ([], False, False),
    ],
    ids=["records", "estranged", "dies at once", "0.1.0", "does not start"],
)
def test_the_keeper_tells_of_daemons_that_recorded(
    packets: list[dict[str, Any]], worked: bool, told: bool
) -> None:
    memory = memory_of_a_daemon(*packets)
    memory.daemon_ended(ENDED, worked)
    assert memory.greeting()[-1][0].get("ended") == (ENDED if told else None)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"kept": [], "deaths": []}', protocol.RENEW),
        ('{"ended": null, "kept": [], "deaths": []}', None),
    ],
    ids=["of 0.1.0", "of this release"],
)
def test_a_keeper_that_was_executed_anew(tmp_path: Path, text: str, code: int | None) -> None:
    path = tmp_path / "state"
    path.write_text(text)
    memory = protocol.Memory(lambda _: None)
    renewal.read(memory, os.open(path, os.O_RDONLY))
    assert (None if memory.ended is None else memory.ended["code"]) == code
