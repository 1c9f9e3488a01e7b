"""``emperor --check``, and what a start says at once of monitors that give nothing."""

from pathlib import Path

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
    """What a shell makes of ``app*`` in this folder."""
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
