"""How arguments are read, by all three commands: a negative time is no option."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from emperord.daemon.cli.commandline import TIME, Command, Group
from emperord.daemon.ctl import cli as emperor_ctl
from emperord.daemon.main import main as emperor
from emperord.journal import times
from emperord.replay.main import cli as emperor_replay
from journal_builder import building
from support.subcommands import subcommands

NOW = 1_795_507_260_000_000_000  # 2026-11-24T08:01:00Z, two hours and a minute after the first


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-n", type=int)
def group(n: int | None) -> None:
    click.echo(f"n {n}")


@group.command()
@click.argument("words", nargs=-1)
@click.option("-2", "two", is_flag=True)
@click.option("--at", type=TIME)
@click.option("--pair", nargs=2, multiple=True)
@click.option("-v", count=True)
def inner(words: tuple[str, ...], two: bool, at: times.Moment | None, **rest: object) -> None:
    click.echo(f"{list(words)} {two} {at} {rest['pair']} {rest['v']}")


def run(command: click.Command, *arguments: str, **more: str) -> Result:
    return CliRunner().invoke(command, list(arguments), env=more)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("inner", "-2h", "x", "-3d"), "n None\n['-2h', 'x', '-3d'] False None () 0"),
        (("inner", "-vv", "-2", "--", "-1h", "-v"), "['-2', '-1h', '-v'] False None () 2"),
        (("-n", "-5", "inner", "--at", "@7"), "n -5\n[] False EventNumber(seq=7) () 0"),
        (("inner", "--pair", "-1h", "-2h", "--pair", "a", "-3"), "(('-1h', '-2h'), ('a', '-3'))"),
        (("inner", "--at=1970-01-01", "-0"), "['-0'] False 0 () 0"),
    ],
    ids=" ".join,
)
def test_a_digit_behind_a_dash_begins_a_value(arguments: tuple[str, ...], says: str) -> None:
    done = run(group, *arguments)
    assert done.exit_code == 0, done.output
    assert says in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("-2h",), "No such command '-2h'"),
        (("inner", "-x"), "No such option '-x'"),
        (("inner", "--at", "-2q"), "'-2q' is not a time: there is no unit 'q'"),
        (("inner", "--at", "-h"), "'-h' is not a time; write "),
    ],
    ids=" ".join,
)
def test_what_is_wrong_is_quoted_as_it_was_written(arguments: tuple[str, ...], says: str) -> None:
    done = run(group, *arguments)
    assert done.exit_code == 2
    assert says in done.stderr


def test_every_command_reads_in_this_way() -> None:
    for command in (emperor, emperor_ctl, emperor_replay):
        assert isinstance(command, Command | Group)
        inner = subcommands(command).values()
        assert bool(inner) == (command is not emperor)
        assert all(isinstance(each, Command) for each in inner)


def test_a_monitor_may_begin_so() -> None:
    with emperor.make_context("emperor", ["a", "-2h", "--freq", "5", "--emperor", "b"]) as context:
        assert context.params["monitor"] == ("a", "-2h", "b")


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("emperord.journal.times.now", lambda: NOW)
    path = str(tmp_path / "journal.db")
    with building(path) as builder:
        builder.start()
        builder.up("a.ini", b"one\n")  # 3, 4, 5
        builder.event("monitor_recovered", monitor="dir:///etc/vassals", after=3600)  # 6
        builder.changed("a.ini", b"two\n")  # 7
    return path


@pytest.mark.parametrize(
    "early",
    ["-2h", "2h", "2 hours ago", "@5", "06:01", "2026-11-24T06:01Z", "-1h60m", "today 06:01"],
)
@pytest.mark.parametrize(
    ("arguments", "says", "not_"),
    [
        (("diff", "a.ini", "T"), "+two", "+one"),
        (("show", "a.ini", "--at", "T"), "one", "two"),
        (("state", "--at", "T"), "after event 5,", "after event 7"),
        (("why", "a.ini", "--at", "T"), "as of event 5", "as of event 7"),
        (("history", "--since", "T"), "changed", "added"),
        (("history", "--until", "T"), "added", "changed"),
        (("events", "--since", "T"), "vassal_changed", "daemon_ready"),
        (("events", "a.ini", "--until", "T"), "vassal_accepting", "vassal_changed"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else each,
)
def test_any_form_of_a_time_wherever_one_is_taken(
    journal: str, arguments: tuple[str, ...], says: str, not_: str, early: str
) -> None:
    told = [early if each == "T" else each for each in arguments]
    done = run(emperor_replay, "--journal", journal, *told)
    assert done.exit_code == 0, done.output
    assert says in done.stdout
    assert not_ not in done.stdout
