"""The author of a change, as events tell it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from emperord.journal.events import Announced, Gone, Spec
from emperord.replay.authors import author
from emperord.replay.main import cli
from journal_builder import MONITOR, building


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (Spec(ts=1), None),
        (Spec(ts=1, attrs={"release": "7"}), None),
        (Spec(ts=1, attrs={"client": "10.0.0.1", "author": "Zoë"}), "Zoë"),
        (Spec(ts=1, attrs={"user": "deploy"}), "user deploy"),
        (Spec(ts=1, attrs={"modifiersName": "cn=x"}), "cn=x"),
        (Spec(ts=1, attrs={"client": "10.0.0.1"}), "client 10.0.0.1"),
        (Spec(ts=1, path="/a.ini", attrs={"owner": "1000"}), "file of uid 1000"),
        (Spec(ts=1, path="/a.ini", uid=1000), "file of uid 1000"),
        (Spec(ts=1, uid=1000), None),
    ],
    ids=["nothing", "a release", "an author first", "a user", "LDAP", "a client", "an owner",
         "tyrant mode", "a row in tyrant mode"],
)  # fmt: skip
def test_the_author_of_a_change(spec: Spec, said: str | None) -> None:
    assert author(Announced(spec=spec)) == said


def test_a_removal_has_no_author() -> None:
    assert author(Gone(reason="told to")) is None


def test_history_tells_it(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        spec = Spec(ts=1, config="c" * 64, attrs={"author": "Zoë\x1b"})
        builder.event("vassal_added", "a.ini", MONITOR, spec=spec)
    run = CliRunner().invoke
    told = run(cli, ["--journal", path, "history", "--json"], catch_exceptions=False)
    assert [deploy["by"] for deploy in json.loads(told.stdout)] == ["Zoë\x1b"]
    line = run(cli, ["--journal", path, "history"], catch_exceptions=False).stdout.splitlines()[1]
    assert line.endswith(", Zoë\\x1b")
