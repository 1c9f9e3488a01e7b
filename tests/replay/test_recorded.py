"""Journals that former versions wrote: they verify, and a daemon of today goes on with them."""

import json
import lzma
from pathlib import Path
from typing import Any, Final

import pytest
from emperord.daemon.core.actions import recorded
from emperord.daemon.core.fleet import Fleet, from_json, to_json
from emperord.daemon.core.fold import fold
from emperord.daemon.main import rebuild
from emperord.journal.decoding import decode_body
from emperord.journal.events import Event
from emperord.journal.reading import open_journal
from emperord.journal.store import Journal
from emperord.replay.fleet_incidents import incidents
from emperord.replay.verify import verify
from support.replaying import asking

RECORDED: Final = Path(__file__).parent.parent / "recorded"
LIVES: Final = lzma.decompress((RECORDED / "0.1.0/simulated.jsonl.xz").read_bytes()).splitlines()


@pytest.mark.parametrize("life", range(len(LIVES)))
def test_a_life_under_the_first_rules_is_decided_as_it_was(life: int) -> None:
    rows: list[list[Any]] = json.loads(LIVES[life])
    assert len(rows) > 10
    fleet = Fleet()
    for seq, at, kind, monitor, vassal, cause, body, actions in rows:
        event = Event(seq, at, kind, monitor, vassal, cause, decode_body(kind, body))
        assert recorded(fold(fleet, event)) == actions, f"event {seq}"
    assert fleet.rules == 1
    assert to_json(from_json(to_json(fleet))) == to_json(fleet)


@pytest.fixture
def chaos(tmp_path: Path) -> str:
    path = tmp_path / "journal.db"
    path.write_bytes(lzma.decompress((RECORDED / "0.1.0/chaos.db.xz").read_bytes()))
    return str(path)


def test_a_real_journal_verifies(chaos: str) -> None:
    verdict = verify(chaos)
    assert (verdict.exit_code, verdict.events) == (0, 1163)


def test_a_real_journal_is_gone_on_with(chaos: str) -> None:
    with Journal.open(chaos) as journal:
        fleet = rebuild(journal)
    assert fleet.seq == 1163
    assert fleet.rules == 1
    assert verify(chaos).exit_code == 0


def test_an_upgrade_in_a_real_journal_is_no_end_without_a_word(chaos: str) -> None:
    """0.1.0 does not record how the daemon before ended: the request tells."""
    told = json.loads(asking("report")(chaos, "--json").stdout)
    with open_journal(chaos) as reader:
        died = [each for each in incidents(reader, 1163, 0) if each.kind == "daemon"]
    assert told["daemon_breaks"] == len(died) == 10
