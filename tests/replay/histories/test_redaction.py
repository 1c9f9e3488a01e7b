"""Redaction: stand-ins for all that others chose, and the same decisions."""

from pathlib import Path

import pytest
from emperord.journal import chain
from emperord.journal.reading import open_journal
from emperord.monitors import settings
from emperord.replay.histories.check import check
from emperord.replay.histories.history import History
from emperord.replay.histories.recorded import recorded
from emperord.replay.histories.redaction import redacted
from emperord.replay.histories.stand_ins import StandIns
from emperord.replay.histories.text import read, write
from journal_builder import Builder, building


def test_names_keep_their_order_and_extension() -> None:
    names = ["b.yaml", "a.ini", "/srv/c.json", "z.special"]
    told = StandIns(names, ())
    assert [told.name(name) for name in sorted(names)] == [
        "v01.json", "v02.ini", "v03.yaml", "v04.conf",
    ]  # fmt: skip
    assert told.name("of no vassal") == "name1"


def test_users_keep_their_order_and_root_stays_root() -> None:
    told = StandIns((), (33, 1000, 0, 33))
    assert [told.user(number) for number in (0, 33, 1000)] == [0, 1001, 1002]
    assert told.sharer("uid 33") == "uid 1001"


@pytest.mark.parametrize("name", ["a.ini", "a.yaml", "a.yml", "a.json", "a.js", "a.xml"])
def test_a_stand_in_has_the_settings_that_decide(name: str) -> None:
    known = {
        "command": "gunicorn <acme>",
        "reload": "restart",
        "restart": "on-failure",
        "success-exit-codes": "0, 3",
        "stop-signal": "INT",
        "nofile": "1000",
        "umask": "027",
        "stop-timeout": "2m",
    }
    secret = {"directory": "/acme", "environment": "A=acme", "environment-file": "-/acme"}
    told = StandIns((), ())
    digest = told.digest("d", {"settings": known | secret}, name)
    text = told.texts[digest]
    assert chain.digest(text) == digest
    of_secret = {
        "directory": "/value2",
        "environment": "VARIABLE=value3",
        "environment-file": "/value4",
    }
    assert settings.read(name, text) == (known | {"command": "value1"} | of_secret, None)
    assert text.count(b"acme") == 0
    assert b"left out" in text


def test_the_same_text_has_the_same_stand_in(whole: History) -> None:
    told = redacted(whole)
    assert len(told.texts) == len(whole.texts)
    assert all(b"its text was left out" in text for text in told.texts.values())
    assert told.header.redacted
    assert told.header.made_from == "events 1-14"


def test_lines_of_people_are_left_out(later: History) -> None:
    text = write(later).replace("\n9 +0s", "\n# acme called\n9 +0s")
    assert "acme" not in write(redacted(read(text)))


def test_texts_that_count_keep_their_length(tmp_path: Path) -> None:
    """Without its log lines, the account would be within its budget, and the vassal start."""

    def lives(builder: Builder) -> None:
        builder.start(record_budget=10_000)
        builder.up("a.ini")
        builder.exited("a.ini", code=1, log="Traceback of acme" * 500)
        builder.event("deadline_passed", "a.ini", deadline=builder.fleet.vassals["a.ini"].deadline)

    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        lives(builder)
    with open_journal(path) as reader:
        history = recorded(reader, 0, reader.head.seq)
    told = redacted(history)
    assert check(told).same
    assert (
        told.steps[-2].expectations[0].facts["deadline"]
        == (history.steps[-2].expectations[0].facts["deadline"])
    )
    assert "." * 8500 in write(told)
    assert "Traceback" not in write(told)
