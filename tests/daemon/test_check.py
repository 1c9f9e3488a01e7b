"""``emperor --check``, and what a start says at once of monitors that give nothing."""

import contextlib
import os
import socket
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from emperord.daemon.check import check
from emperord.journal.policy import Policy
from emperord.monitors.options import MonitorOptions
from emperord.monitors.registry import open_monitor
from support.daemon import Daemon
from support.vassals import SLEEPER

from .conftest import MakeDaemon

NO = "no config (.xml .ini .yml .yaml .js .json)"


def checked(daemon: Daemon) -> tuple[int, list[str]]:
    """The exit code, and the lines that were printed."""
    daemon.launch("--check")
    return daemon.wait(), daemon.log().splitlines()


# Files that are given as monitors


def expansion(folder: Path) -> list[str]:
    """The names that a shell makes of ``app*`` in this folder."""
    for name, text in {
        "app.ini": SLEEPER,
        "app.py": "x = 1",
        "app_emperor.ini": "[uwsgi]\nemperor = /v\n",
        "app_empty.ini": "",
    }.items():
        (folder / name).write_text(text)
    return sorted(path.name for path in folder.glob("app*"))


def test_an_unquoted_pattern_runs_the_configs_and_names_the_rest(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    daemon = make_daemon(monitors=expansion(tmp_path)).start()
    daemon.phase("app.ini", "ready")
    log = daemon.log()
    left_out = f"left out: app.py is {NO}; quote a pattern, or your shell expands it"
    assert log.count(left_out) == 1
    assert "3 files are given by name; quote a pattern, and files that are made later run" in log
    assert log.count("rejected (app_emperor.ini: it is the config of a uWSGI Emperor") == 1
    assert log.count("rejected (app_empty.ini: it is empty: write a config into it") == 1
    assert "monitor failed" not in log
    assert list(daemon.fleet().vassals) == ["app.ini"]
    daemon.stop()


def test_check_fails_for_what_an_unquoted_pattern_brings(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    code, said = checked(make_daemon(monitors=expansion(tmp_path)))
    assert code == 1
    assert said == [
        f"left out: app.py is {NO}; quote a pattern, or your shell expands it",
        "glob://app.ini",
        "  app.ini: sleep 1000",
        "glob://app_emperor.ini",
        (
            "  app_emperor.ini: rejected: it is the config of a uWSGI Emperor (emperor = /v), not"
            " of a vassal: give what that watches, as in: emperor /v"
        ),
        "glob://app_empty.ini",
        "  app_empty.ini: rejected: it is empty: write a config into it, or remove it",
    ]


def test_a_program_alone_is_no_monitor(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    (tmp_path / "app.py").touch()
    daemon = make_daemon(monitors=["app.py"]).launch()
    assert daemon.wait() == 3
    assert daemon.log().splitlines() == [
        f"emperor: app.py is {NO}; quote a pattern, or your shell expands it"
    ]
    assert not daemon.journal.exists()


def test_an_empty_config_is_complete_with_a_template(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    (tmp_path / "app.ini").touch()
    options = ("--uwsgi", "/bin/true", "--vassals-include", "all.ini")
    code, said = checked(make_daemon(*options, monitors=["app.ini"]))
    assert (code, said[1]) == (0, "  app.ini: /bin/true --ini app.ini --include all.ini")


def test_a_config_that_has_no_copy_for_a_preflight_is_told(
    make_daemon: MakeDaemon, tmp_path: Path
) -> None:
    (tmp_path / "app.ini").write_text("[uwsgi]\nchdir = %d\n[emperor]\npreflight = uwsgi\n")
    code, said = checked(make_daemon("--uwsgi", "/bin/true", monitors=["app.ini"]))
    assert code == 0
    assert "(warning: its text has %d, which means another thing in a copy" in said[1]


def test_a_section_that_cannot_be_read_is_told(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("emperor:\n  command: sleep 7: x\n")
    (tmp_path / "b.yaml").write_text("emperor:\n  command: sleep 7\nuwsgi:\n  chdir: %d\n")
    (tmp_path / "c.ini").write_text("[emperor] ; ours\ncommand = sleep 7\n")
    code, said = checked(make_daemon(monitors=[str(tmp_path)]))
    assert code == 1
    assert [line[2:] for line in said[1:]] == [
        (
            "a.yaml: barred: [emperor] cannot be read: line 2: mapping values are not allowed in"
            " this context; quote the value on that line, and indent with blanks only"
        ),
        "b.yaml: sleep 7",
        (
            "c.ini: barred: [emperor] line 1: [emperor] ; ours is not the name of this section;"
            " write [emperor] and nothing else on the line"
        ),
    ]


# Sources that are away

REFUSED = "Connection refused"
AWAY = {
    "pg": ("pg://host=127.0.0.1 port={}", "cannot be read", REFUSED),
    "mongodb": ("mongodb://127.0.0.1:{}", "cannot be read", REFUSED),
    "zoo": ("zoo://127.0.0.1:{}/v", "cannot be read", REFUSED),
    "ldap": ("ldap://127.0.0.1:{}/dc=x", "cannot be read", REFUSED),
    "amqp": ("amqp://127.0.0.1:{}", "cannot be reached", REFUSED),
    "amqps": ("amqps://127.0.0.1:{}", "cannot be reached", REFUSED),
    "zmq": ("zmq://tcp://127.0.0.1:{}", "cannot be reached", "another process listens there"),
    "dir": ("/nowhere/{}", "cannot be read", "No such file or directory"),
    "glob": ("/nowhere/{}/*.ini", "cannot be read", "No such file or directory"),
}


@contextlib.contextmanager
def held_port(*, listens: bool) -> Iterator[int]:
    """A port that is taken: clients are refused there, or accepted and told nothing."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        if listens:
            holder.listen()
        yield holder.getsockname()[1]


@pytest.mark.parametrize(("url", "verdict", "reason"), AWAY.values(), ids=AWAY)
async def test_a_source_that_is_away_fails_the_check(
    url: str, verdict: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with held_port(listens=url.startswith("zmq")) as port:
        code = await check([open_monitor(url.format(port))], Policy())
    assert code == 1
    _, told = capsys.readouterr().out.splitlines()
    assert told.startswith(f"  {verdict}: ")
    assert reason in told


async def test_one_source_that_is_away_does_not_keep_the_others_from_being_checked(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "a.ini").write_text(SLEEPER)
    with held_port(listens=False) as port:
        monitors = [open_monitor(f"amqp://127.0.0.1:{port}"), open_monitor(str(tmp_path))]
        assert await check(monitors, Policy()) == 1
    assert capsys.readouterr().out.splitlines()[2:] == [
        f"dir://{tmp_path}",
        f"  a.ini: sleep 1000  (in {tmp_path})",
    ]


POLICIES = {
    "tyrant": (Policy(tyrant=True, tyrant_nofollow=True), "--tyrant --tyrant-nofollow"),
    "links": (Policy(nofollow=True), "--nofollow"),
    "one user": (Policy(user=(61_001, 62_001)), "--user 61001:62001"),
}


@pytest.mark.parametrize(("policy", "options"), POLICIES.values(), ids=POLICIES)
async def test_the_policy_that_is_judged_is_told(
    policy: Policy, options: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    await check([open_monitor(str(tmp_path))], policy)
    told, url, _ = capsys.readouterr().out.splitlines()
    assert (told, url) == (f"judged with {options}:", f"dir://{tmp_path}")


LACKING = {
    "a directory": ("{}", "it has no vassal"),
    "a pattern": ("{}/*.ini", "no config matches it"),
}


@pytest.mark.parametrize(("monitor", "told"), LACKING.values(), ids=LACKING)
async def test_a_source_with_nothing_in_it_is_warned_of(
    monitor: str, told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert await check([open_monitor(monitor.format(tmp_path))], Policy()) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [f"  warning: {told}"]


NO_CONFIG = {
    "a file that is missing": (None, "cannot be read: there is no such file"),
    "a FIFO": (os.mkfifo, "{}: rejected: it is a FIFO, not a config file"),
    "a directory": (Path.mkdir, "{}: rejected: it is a directory, not a config file"),
    "a device": (
        lambda path: path.symlink_to("/dev/null"),
        "{}: rejected: it leads to a device, not to a config file",
    ),
    "a symlink to nothing": (
        lambda path: path.symlink_to("nothing"),
        "{}: rejected: it is a symlink that leads to no file",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("make", "told"), NO_CONFIG.values(), ids=NO_CONFIG)
async def test_a_file_that_is_given_by_name_must_be_one(
    make: Callable[[Path], None] | None,
    told: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.ini"
    if make is not None:
        make(path)
    assert await check([open_monitor(f"glob://{path}")], Policy()) == 1
    assert capsys.readouterr().out.splitlines()[1:] == [f"  {told.format(path)}"]


async def test_in_tyrant_mode_the_target_of_a_symlink_is_not_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "a.ini"
    path.symlink_to("/dev/null")
    monitor = open_monitor(f"glob://{path}", MonitorOptions(tyrant=True))
    assert await check([monitor], Policy()) == 1
    assert f"  {path}: rejected: it is a symlink that leads to no file\n" in capsys.readouterr().out


def test_a_start_says_at_once_what_gives_nothing(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    (tmp_path / "b.ini").touch()
    daemon = make_daemon(monitors=["nosuchdir", "*.txt", "a.ini", "vassals", "b.ini"])
    daemon.start()
    missing = f"dir://{tmp_path}/nosuchdir: "
    daemon.until(lambda: "glob://a.ini: there is no such file" in daemon.log(), "it was said")
    log = daemon.log()
    assert f"{missing}monitor failed ({tmp_path}/nosuchdir: No such file or directory)" in log
    assert "glob://*.txt: no config matches it" in log
    assert f"dir://{daemon.vassals}: " not in log  # a directory may be empty
    assert log.count("glob://b.ini: ") == 1  # it was rejected, which is said once
    daemon.stop()
    # The outage is recorded once; a person at the terminal is told at each start.
    before = len(daemon.log())
    daemon.start()
    daemon.until(lambda: f"{missing}still cannot be read, since 2" in daemon.log(), "it was said")
    assert "monitor failed" not in daemon.log()[before:]
    daemon.stop()
    with contextlib.closing(sqlite3.connect(daemon.journal)) as journal:
        told = "SELECT count(*) FROM event WHERE kind = 'monitor_failed'"
        assert journal.execute(told).fetchone() == (1,)
