"""The command line: every option under both names, the environment, --config, and refusals."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from click.testing import CliRunner, Result
from emperord.daemon import options
from emperord.daemon.main import main, rebuild
from emperord.journal.policy import Policy
from emperord.journal.store import Journal, Snapshot
from journal_builder import building
from support.daemon import Daemon

# option -> (text as given, value), none of them the default
VALUES: dict[str, tuple[str | None, Any]] = {
    "journal": ("/j/x.db", "/j/x.db"),
    "uwsgi": ("/u", "/u"),
    "freq": ("0.5", 0.5),
    "allow-link-local": (None, True),
    "max-clock-step": ("10m", 600.0),
    "cgroup": ("/c", "/c"),
    "throttle": ("7", 7),
    "max-throttle": ("8", 8),
    "forgive": ("8.5", 8.5),
    "required-heartbeat": ("9.5", 9.5),
    "mercy": ("1.5", 1.5),
    "max-starting": ("11", 11),
    "start-patience": ("12", 12.0),
    "tyrant": (None, True),
    "tyrant-nofollow": (None, True),
    "tyrant-initgroups": (None, True),
    "nofollow": (None, True),
    "as-root": (None, True),
    "user": ("7:8", (7, 8)),
    "on-demand-extension": (".sock", ".sock"),
    "on-demand-directory": ("/d", "/d"),
    "on-demand-exec": ("/e -x", "/e -x"),
    "on-demand-mode": ("600", 0o600),
    "on-demand-owner": ("7:8", (7, 8)),
    "on-demand-backlog": ("9", 9),
    "extra-extension": (".conf", (".conf",)),
    "vassal-set": ("k=v", ("k=v",)),
    "vassals-inherit": ("f", ("f",)),
    "vassals-include": ("f", ("f",)),
    "vassals-inherit-before": ("f", ("f",)),
    "vassals-include-before": ("f", ("f",)),
    "wrapper": ("/w", "/w"),
    "graceful-shutdown": (None, True),
    "log": ("inherit", "inherit"),
    "restore": (None, True),
    "log-format": ("json", "json"),
    "log-directory": ("/l", "/l"),
    "log-size": ("4096", 4096),
    "log-keep": ("7", 7),
    "journal-reserve": ("6M", 6 << 20),
    "record-budget": ("5M", 5 << 20),
    "control": ("/c", "/c"),
}
ELSEWHERE = {"config", "check", "monitor", "emperor", "help", "version"}  # tested by what they do
OTHER_NAMES = {
    "curse-tolerance": "mercy",
    "emperor-curse-tolerance": "mercy",
    "emperor-extra-ext": "extra-extension",
    "emperor-on-demand-ext": "on-demand-extension",
    "emperor-on-demand-dir": "on-demand-directory",
    "vassals-set": "vassal-set",
}


@click.command(cls=options.Command)
@options.options
def told(**chosen: Any) -> dict[str, Any]:
    return chosen


def tell(*arguments: str, environ: dict[str, str] | None = None) -> dict[str, Any]:
    """The values of all options."""
    result = run(*arguments, environ=environ)
    assert result.exit_code == 0, result.output
    chosen: dict[str, Any] = result.return_value
    return chosen


def run(*arguments: str, environ: dict[str, str] | None = None, standalone: bool = False) -> Result:
    clean: dict[str, str | None] = {k: None for k in os.environ if k.startswith("EMPEROR_")}
    runner = CliRunner(env={**clean, **(environ or {})})
    return runner.invoke(told, arguments, standalone_mode=standalone)


def key(option: str) -> str:
    return option.replace("-", "_")


def test_the_table_has_every_option() -> None:
    names = {parameter.name for parameter in main.params}
    assert names == {key(option) for option in VALUES} | (ELSEWHERE - {"help"})


def test_every_deciding_option_can_be_set() -> None:
    follow = {"max_starting_ceiling"}  # from --max-starting auto
    assert set(Policy.__struct_fields__) - follow <= {key(option) for option in VALUES}


@pytest.mark.parametrize("option", VALUES)
@pytest.mark.parametrize("prefix", ["--", "--emperor-"])
def test_both_names(option: str, prefix: str) -> None:
    text, value = VALUES[option]
    assert tell("v")[key(option)] != value
    given = [] if text is None else [text]
    assert tell(prefix + option, *given, "v")[key(option)] == value


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_uwsgis_other_names(name: str) -> None:
    text, value = VALUES[OTHER_NAMES[name]]
    assert text is not None
    assert tell(f"--{name}", text, "v")[key(OTHER_NAMES[name])] == value


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_uwsgis_other_names_elsewhere(name: str, tmp_path: Path) -> None:
    text, value = VALUES[OTHER_NAMES[name]]
    assert text is not None
    chosen = key(OTHER_NAMES[name])
    variable = f"EMPEROR_{key(name).upper().removeprefix('EMPEROR_')}"
    assert tell("v", environ={variable: text})[chosen] == value
    file = tmp_path / "emperor.yml"
    file.write_text(f"{name}: {text}\n")
    assert tell("--config", str(file), "v")[chosen] == value


def test_config_and_check_under_all_names(tmp_path: Path) -> None:
    file = tmp_path / "emperor.yml"
    file.write_text("freq: 3.25\n")
    assert tell("--emperor-config", str(file), "v")["freq"] == 3.25
    assert tell("--emperor-check", "v")["check"]
    assert tell("v", environ={"EMPEROR_CHECK": "1"})["check"]


@pytest.mark.parametrize("option", VALUES)
def test_environment(option: str) -> None:
    text, value = VALUES[option]
    variable = f"EMPEROR_{key(option).upper()}"
    assert tell("v", environ={variable: text or "1"})[key(option)] == value


@pytest.mark.parametrize("option", VALUES)
@pytest.mark.parametrize("prefix", ["", "emperor-"])
@pytest.mark.parametrize("underscore", [False, True], ids=["dashes", "underscores"])
def test_config_file(option: str, prefix: str, underscore: bool, tmp_path: Path) -> None:
    text, value = VALUES[option]
    name = key(prefix + option) if underscore else prefix + option
    several = option in ("extra-extension", "vassal-set") or option.startswith("vassals-")
    written = f"[{text}]" if several else text or "true"
    file = tmp_path / "emperor.yml"
    file.write_text(f"{name}: {written}\n")
    assert tell("--config", str(file), "v")[key(option)] == value


def test_one_value_is_enough_for_an_option_that_takes_several(tmp_path: Path) -> None:
    file = tmp_path / "emperor.yml"
    file.write_text("vassal-set: k=v\nextra-extension: [.a, .b]\n")
    chosen = tell("--config", str(file), "v")
    assert chosen["vassal_set"] == ("k=v",)
    assert chosen["extra_extension"] == (".a", ".b")


def test_config_file_may_name_the_monitors(tmp_path: Path) -> None:
    file = tmp_path / "emperor.yml"
    file.write_text("monitor: [dir:///a, 'glob:///b/*.ini']\nfreq: 9\n")
    assert tell("--config", str(file))["monitor"] == ("dir:///a", "glob:///b/*.ini")


@pytest.mark.parametrize(
    ("arguments", "monitors"),
    [
        pytest.param(["--emperor", "a"], ("a",), id="alone"),
        pytest.param(["--emperor=a"], ("a",), id="with ="),
        pytest.param(["a", "--emperor", "b", "c", "--emperor=d"], tuple("abcd"), id="in order"),
        pytest.param(["--uwsgi", "u", "--emperor", "a", "b"], ("a", "b"), id="after an option"),
        pytest.param(["--emperor", "--x", "b"], ("--x", "b"), id="like an option"),
        pytest.param(["--emperor", "a", "--", "--emperor"], ("a", "--emperor"), id="after --"),
        pytest.param(["--emperor", "/%n", "%d"], ("/%n", "%d"), id="taken as they are"),
    ],
)
def test_emperor_names_a_monitor(arguments: list[str], monitors: tuple[str, ...]) -> None:
    assert tell(*arguments)["monitor"] == monitors


@pytest.mark.parametrize(
    ("text", "monitors"),
    [
        pytest.param("emperor: /a", ("/a",), id="as in uWSGI"),
        pytest.param("emperor: [/a, /b]", ("/a", "/b"), id="a list"),
        pytest.param("emperor: /a\nmonitor: /b", ("/a", "/b"), id="both"),
        pytest.param("emperor: {monitor: [/a, /b], freq: 7}", ("/a", "/b"), id="a section"),
        pytest.param("emperor: {emperor: /a}\nmonitor: /b", ("/a", "/b"), id="and beside it"),
        pytest.param("monitor: '%d%n.d'", ("{folder}/main.d",), id="directory and name"),
        pytest.param("monitor: 'dir://%d%c-%e'", ("dir://{folder}/conf-yml",), id="a URL"),
        pytest.param("monitor: glob://%p.*", ("glob://{folder}/main.yml.*",), id="a pattern"),
        pytest.param("monitor: '/100%%/%s'", ("/100%/main.yml",), id="a percent sign"),
        pytest.param("monitor: 'amqp://u:%d0@h'", ("amqp://u:%d0@h",), id="a server's URL"),
    ],
)
def test_monitors_of_a_config_file(text: str, monitors: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "conf" / "main.yml"
    file.parent.mkdir()
    file.write_text(text)
    expected = tuple(each.format(folder=file.parent) for each in monitors)
    assert tell("--config", str(file))["monitor"] == expected
    assert tell("--config", os.path.relpath(file))["monitor"] == expected


def test_options_of_a_config_file_may_be_in_a_section(tmp_path: Path) -> None:
    file = tmp_path / "emperor.yml"
    file.write_text("emperor:\n  monitor: /a\n  emperor-freq: 7\nthrottle: 2s\n")
    chosen = tell("--config", str(file))
    assert (chosen["freq"], chosen["throttle"]) == (7, 2000)


@pytest.mark.parametrize(
    ("line", "environ", "freq"),
    [
        pytest.param(["--freq", "1"], {"EMPEROR_FREQ": "2"}, 1, id="command line"),
        pytest.param([], {"EMPEROR_FREQ": "2"}, 2, id="environment"),
        pytest.param([], {}, 3.25, id="file"),
    ],
)
def test_precedence(line: list[str], environ: dict[str, str], freq: float, tmp_path: Path) -> None:
    file = tmp_path / "emperor.yml"
    file.write_text("freq: 3.25\n")
    for config in (["--config", str(file), *line], [*line, "--config", str(file)]):
        assert tell(*config, "v", environ=environ)["freq"] == freq
    by_environment = {**environ, "EMPEROR_CONFIG": str(file)}
    assert tell(*line, "v", environ=by_environment)["freq"] == freq


@pytest.mark.parametrize("variable", ["EMPEROR_MONITOR", "EMPEROR_EMPEROR"])
def test_monitors_from_the_environment(variable: str) -> None:
    assert tell(environ={variable: "/a /b"})["monitor"] == ("/a", "/b")
    assert tell("/c", environ={variable: "/a /b"})["monitor"] == ("/c",)


def test_our_own_variable_of_monitors_wins() -> None:
    environ = {"EMPEROR_EMPEROR": "/b", "EMPEROR_MONITOR": "/a"}
    assert tell(environ=environ)["monitor"] == ("/a",)


def test_urls_from_the_environment_may_hold_blanks() -> None:
    """Else a password among them would be a path, which is shown."""
    urls = ("pg://host=h password=geheim;SELECT name, config, ts FROM v", "dir:///a b")
    assert tell(environ={"EMPEROR_MONITOR": "\n".join(urls)})["monitor"] == urls


def test_defaults() -> None:
    chosen = tell("v")
    decided = options.policy(chosen)
    cores = options.cores()
    defaults = Policy(forgive=60.0, record_budget=64 << 20)
    assert decided == msgspec.structs.replace(
        defaults, max_starting=2 * cores, max_starting_ceiling=32 * cores
    )
    assert (chosen["log"], chosen["log_directory"], chosen["check"]) == ("files", None, False)


@pytest.mark.parametrize(
    ("text", "floor", "ceiling"),
    [("7", 7, 0), ("auto", 2 * options.cores(), 32 * options.cores())],
)
@pytest.mark.parametrize("place", ["line", "environment", "file"])
def test_max_starting_is_a_number_or_auto(
    text: str, floor: int, ceiling: int, place: str, tmp_path: Path
) -> None:
    file = tmp_path / "emperor.yml"
    file.write_text(f"max-starting: {text}\n")
    chosen = {
        "line": lambda: tell("--max-starting", text, "v"),
        "environment": lambda: tell("v", environ={"EMPEROR_MAX_STARTING": text}),
        "file": lambda: tell("--config", str(file), "v"),
    }[place]()
    decided = options.policy(chosen)
    assert (decided.max_starting, decided.max_starting_ceiling) == (floor, ceiling)


UNITS = [
    ("freq", "500ms", 0.5),
    ("freq", "2m", 120.0),
    ("mercy", "1m30s", 90.0),
    ("required-heartbeat", "1h", 3600.0),
    ("start-patience", "7d", 604800.0),
    ("throttle", "1.5s", 1500),
    ("throttle", "250ms", 250),
    ("max-throttle", "3m", 180_000),
    ("log-size", "64K", 64 << 10),
    ("log-size", "1GiB", 1 << 30),
]


@pytest.mark.parametrize(("option", "text", "value"), UNITS)
def test_units_are_taken_wherever_a_value_comes_from(
    option: str, text: str, value: float, tmp_path: Path
) -> None:
    file = tmp_path / "emperor.yml"
    file.write_text(f"{option}: {text}\n")
    for chosen in (
        tell(f"--{option}", text, "v"),
        tell("v", environ={f"EMPEROR_{key(option).upper()}": text}),
        tell("--config", str(file), "v"),
    ):
        assert chosen[key(option)] == value
        assert type(chosen[key(option)]) is type(value)


def test_help_has_values_with_units_and_no_formulas() -> None:
    said = run("--help", standalone=True).output
    assert "[default: 3s]" in said
    assert "[default: 10M]" in said
    assert "<=" not in said
    assert ">=" not in said


# Answers to bad input


@pytest.mark.parametrize(
    ("option", "text", "says"),
    [
        (
            "throttle",
            "soon",
            "'soon' is not a duration; write 500ms, 3s, 2m, 1h or 7d, or a number of milliseconds",
        ),
        ("mercy", "3 years", "'3 years' is not a duration; write"),
        ("freq", "2y", "or a number of seconds"),
        ("freq", "1ms", "1ms is out of range; write a duration from 10ms to 365d"),
        ("mercy", "366d", "366d is out of range; write a duration from 10ms to 365d"),
        ("throttle", "0.5", "0.5 is out of range; write a duration from 1ms to 365d"),
        ("throttle", "1.5", "1.5 is no whole number of milliseconds"),
        ("max-starting", "x", "'x' is not a whole number; write one, 1 or more, or auto"),
        ("max-starting", "0", "0 is out of range; write a whole number, 1 or more, or auto"),
        ("on-demand-backlog", "1s", "'1s' is not a whole number; write one, 1 to 2147483647"),
        (
            "log-size",
            "big",
            "'big' is not a size; write 64K, 10M or 1GiB, or a number of bytes",
        ),
        ("log-size", "1K", "1K is out of range; write 4K or more"),
    ],
)
def test_what_is_expected_is_said_in_words(option: str, text: str, says: str) -> None:
    result = run(f"--{option}", text, "v", standalone=True)
    assert result.exit_code == 2
    assert says in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        pytest.param([], "MONITOR", id="no monitor"),
        pytest.param(["--emperor"], "--emperor", id="emperor without a value"),
        pytest.param(["--frequency", "1", "v"], "--frequency", id="unknown option"),
        pytest.param(["--freq", "0", "v"], "--freq", id="freq 0"),
        pytest.param(["--freq", "-1", "v"], "--freq", id="freq below 0"),
        pytest.param(["--freq", "often", "v"], "--freq", id="freq in words"),
        pytest.param(["--freq", "nan", "v"], "--freq", id="freq nan"),
        pytest.param(["--mercy", "inf", "v"], "--mercy", id="mercy inf"),
        pytest.param(["--required-heartbeat", "nan", "v"], "--required-heartbeat", id="heart nan"),
        pytest.param(["--mercy", "1e300", "v"], "--mercy", id="mercy for ever"),
        pytest.param(["--throttle", "0", "v"], "--throttle", id="throttle 0"),
        pytest.param(["--throttle", "1.5", "v"], "--throttle", id="throttle no integer"),
        pytest.param(["--throttle", "9" * 30, "v"], "--throttle", id="throttle for ever"),
        pytest.param(["--max-starting", "0", "v"], "--max-starting", id="max-starting 0"),
        pytest.param(["--log", "syslog", "v"], "--log", id="log"),
        pytest.param(["--log-size", "10", "v"], "--log-size", id="log-size"),
        pytest.param(["--user", "nosuchuser", "v"], "--user", id="no such user"),
        pytest.param(["--user", "root", "v"], "say --as-root", id="user root"),
        pytest.param(["--user", "4294967295:8", "v"], "--user", id="user -1"),
        pytest.param(["--user", "7:4294967295", "v"], "--user", id="group -1"),
        pytest.param(
            ["--on-demand-owner", "4294967295:8", "v"], "that a process can have", id="owner -1"
        ),
        pytest.param(
            ["--on-demand-owner", "7:99999999999", "v"], "that a process can have", id="no gid"
        ),
        pytest.param(["--config", "/nowhere.yml", "v"], "/nowhere.yml", id="no config file"),
        *(
            pytest.param([f"--{name}", "", "v"], f"--{name}", id=f"{name} empty")
            for name, (text, _) in VALUES.items()
            if text is not None
        ),
    ],
)
def test_bad_usage(arguments: list[str], named: str) -> None:
    result = run(*arguments, standalone=True)
    assert result.exit_code == 2
    assert named in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param("frequency: 1", "frequency", id="unknown key"),
        pytest.param("config: x.yml", "config", id="config in config"),
        pytest.param("freq: often", "freq", id="bad value"),
        pytest.param("freq: [1, 2]", "freq", id="a list for one value"),
        pytest.param("freq: {a: b}", "freq", id="a mapping for one value"),
        pytest.param("freq:", "freq", id="no value"),
        pytest.param("freq: true", "freq", id="a flag for a number"),
        pytest.param("journal:", "journal", id="no value for a path"),
        pytest.param("vassal-set: {k: v}", "vassal-set", id="a mapping for values"),
        pytest.param("vassal-set: [[k]]", "vassal-set", id="a list in a list"),
        pytest.param("emperor-emperor-freq: 1", "emperor-emperor-freq", id="prefixed twice"),
        pytest.param("- freq", "names and values", id="a list"),
        pytest.param("freq", "names and values", id="a word"),
        pytest.param("a: [", "cannot be read", id="no YAML"),
        pytest.param("\x00", "cannot be read", id="control characters"),
        pytest.param("? [a]\n: b", "cannot be read", id="a list as key"),
        pytest.param("freq: 1\nemperor: {freq: 2}", "freq", id="there twice"),
        pytest.param("emperor: {frequency: 1}", "frequency", id="unknown key in the section"),
        pytest.param("emperor:", "emperor", id="an empty section"),
        pytest.param("nofollow: perhaps", "nofollow", id="a flag in words"),
        pytest.param("extra-extension: ''", "extra-extension", id="an empty text"),
        pytest.param("extra-extension: [.a, '']", "extra-extension", id="an empty text in a list"),
    ],
)
def test_bad_config_file(text: str, named: str, tmp_path: Path) -> None:
    file = tmp_path / "emperor.yml"
    file.write_text(text)
    result = run("--config", str(file), "v", standalone=True)
    assert result.exit_code == 2, result.output
    assert named in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        pytest.param("emperor: %d%n.d", "as in emperor: '%d%n.d'", id="a magic variable"),
        pytest.param("freq: 5\nmonitor: *.ini", "as in monitor: '*.ini'", id="a pattern"),
        pytest.param("emperor:\n  - /a\n  - %d", "as in - '%d'", id="in a list"),
        pytest.param("control: @emperor", "as in control: '@emperor'", id="an abstract name"),
        pytest.param("monitor: [ab]*.ini", "as in monitor: '[ab]*.ini'", id="a class"),
        pytest.param("wrapper: %d'x", "as in wrapper: '%d''x'", id="with a quote"),
        pytest.param("a: [", None, id="a list without an end"),
        pytest.param("a: b: c", None, id="something else"),
    ],
)
def test_a_value_that_yaml_cannot_read_is_to_be_quoted(
    text: str, advice: str | None, tmp_path: Path
) -> None:
    file = tmp_path / "emperor.yml"
    file.write_text(text)
    said = " ".join(run("--config", str(file), "v", standalone=True).stderr.split())
    assert "cannot be read" in said
    _, quotes, told = said.partition("; put the value in quotes, ")
    assert (told if quotes else None) == advice


@pytest.mark.parametrize(
    "text",
    [
        "monitor: pg://host=h password=hidden: x",
        "monitor: [pg://host=h password=hidden;SELECT 1] x",
        "monitor: '%d\nwrapper: pg://password=hidden",
    ],
)
def test_no_password_is_told_of_a_file_that_yaml_cannot_read(text: str, tmp_path: Path) -> None:
    file = tmp_path / "emperor.yml"
    file.write_text(text)
    result = run("--config", str(file), "v", standalone=True)
    assert "cannot be read" in result.stderr
    assert "hidden" not in result.stderr


def refused(daemon: Daemon) -> str:
    """The line of a daemon that cannot start, and ends with exit code 3."""
    daemon.launch()
    assert daemon.wait() == 3, daemon.account()
    (line,) = daemon.log().splitlines()
    assert line.startswith("emperor: ")
    return line


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("monitor", "named"),
    [
        pytest.param("nosuch://x", "nosuch", id="unknown scheme"),
        pytest.param("nosuch://user:geheim@x", "nosuch", id="its password is not shown"),
        pytest.param("", "empty", id="empty"),
        pytest.param("dir://", "dir://", id="no directory"),
        pytest.param("glob://", "glob://", id="no pattern"),
        pytest.param("a\nb.ini", "control character", id="newline"),
    ],
)
def test_a_monitor_that_cannot_be_understood(monitor: str, named: str, tmp_path: Path) -> None:
    with Daemon(tmp_path, monitors=["--", monitor]) as daemon:
        line = refused(daemon)
    assert named in line
    assert "geheim" not in line


def test_a_locked_journal(tmp_path: Path) -> None:
    with Daemon(tmp_path) as first:
        first.start()
        second_home = tmp_path / "second"
        second_home.mkdir()
        with Daemon(second_home) as second:
            second.journal = first.journal
            line = refused(second)
        assert str(first.pid) in line
        assert str(first.journal) in line
        first.stop()
        assert [kind for kind in first.kinds() if kind.startswith("daemon")] == [
            "daemon_started",
            "daemon_ready",
            "daemon_stopping",
            "daemon_stopped",
        ]


def database(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (x)")
    connection.close()


def torn(path: Path) -> None:
    database(path)
    path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda path: path.write_text("hello\n"), id="a text"),
        pytest.param(database, id="another database"),
        pytest.param(torn, id="a torn database"),
        pytest.param(lambda path: path.mkdir(), id="a directory"),
    ],
)
def test_a_file_that_is_no_journal(make: Any, tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        daemon.state.mkdir()
        make(daemon.journal)
        before = daemon.journal.read_bytes() if daemon.journal.is_file() else None
        assert str(daemon.journal) in refused(daemon) or before is None
        assert (daemon.journal.read_bytes() if daemon.journal.is_file() else None) == before


def without_events(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE event")
    connection.close()


def from_elsewhere(path: Path) -> None:
    """An event whose chain fits, but which the fold cannot take."""
    with Journal.open(str(path)) as journal:
        body = '{"reason":"whose?"}'
        at = journal.last_at + 1
        journal.append([(journal.seq + 1, at, "monitor_failed", None, None, None, body, "[]")])


def newer(path: Path) -> None:
    with Journal.open(str(path)) as journal:
        at = journal.last_at + 1
        journal.append([(journal.seq + 1, at, "vassal_cloned", None, None, None, "{}", "[]")])


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        pytest.param(without_events, "no table event", id="no table"),
        pytest.param(from_elsewhere, "(monitor_failed) cannot be folded by this", id="fold"),
        pytest.param(newer, "read it with a newer emperord", id="newer event"),
    ],
)
def test_a_journal_that_it_cannot_go_on_with(
    harm: Callable[[Path], None], named: str, tmp_path: Path
) -> None:
    with Daemon(tmp_path) as daemon:
        daemon.state.mkdir()
        Journal.open(str(daemon.journal)).close()
        harm(daemon.journal)
        line = refused(daemon)
        assert f"{daemon.journal}: " in line
        assert named in line


def test_a_snapshot_of_another_version_is_passed_over(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    with building(path, snapshot_every=3) as builder:
        builder.start()
        builder.added("a.ini")
    with Journal.open(path) as journal:
        body, at = '{"attempt":3,"pid":1,"start_time":1}', journal.last_at + 1
        row = (journal.seq + 1, at, "spawned", None, "a.ini", 3, body, "[]")
        journal.append([row], snapshot=Snapshot(4, b'{"seq":"four"}'))
        assert rebuild(journal).vassals["a.ini"].pid == 1


@pytest.mark.few(4)
@pytest.mark.parametrize(
    ("option", "path", "says"),
    [
        ("--journal", "file/j.db", "its folder is a file; give another --journal"),
        ("--journal", "file/x/j.db", "its folder is a file; give another --journal"),
        ("--journal", "/proc/x/j.db", "cannot be opened: No such file or directory; give another"),
        ("--journal", "folder", "cannot be opened: Is a directory; give a file in it"),
        ("--journal", "fifo", "not a regular file; give the --journal of an emperor"),
        ("--journal", "x" * 300, "cannot be opened: File name too long; give another --journal"),
        ("--log-directory", "file", "that is no directory; give another --log-directory, or"),
        ("--log-directory", "file/x", "cannot be kept there: Not a directory; give another --log"),
        ("--log-directory", "/proc/x", "cannot be kept there: No such file or directory; give"),
        ("--control", "file/x", "Not a directory; give another --control"),
        ("--control", "file", "there is a file that is no socket; give another --control"),
        ("--control", "x" * 300, "File name too long; give another --control"),
    ],
)
def test_a_place_where_nothing_can_be_made(
    option: str, path: str, says: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("a file where a folder should be")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    with Daemon(tmp_path, option, str(tmp_path / path)) as daemon:
        line = refused(daemon)
    assert str(tmp_path / path) in line
    assert says in line
    assert "Errno" not in line


# --check

CONFIGS = {
    "a.ini": "[uwsgi]\nmaster = true\n",
    "b.ini": "[emperor]\ncommand = sleep '1 0'\n",
    "notes.txt": "no config",
}


def test_check_tells_what_would_run_and_runs_nothing(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--uwsgi", "/bin/true", "--check") as daemon:
        for name, text in CONFIGS.items():
            (daemon.vassals / name).write_text(text)
        daemon.launch()
        assert daemon.wait() == 0, daemon.account()
        assert daemon.log().splitlines() == [
            f"dir://{daemon.vassals}",
            f"  a.ini: /bin/true --ini a.ini  (in {daemon.vassals})",
            f"  b.ini: sleep '1 0'  (in {daemon.vassals})",
        ]
        assert not daemon.journal.exists()
        assert daemon.running() == []


def test_check_shows_the_wrapper_that_would_run(tmp_path: Path) -> None:
    (tmp_path / "wrap").touch(0o755)
    (tmp_path / "vassals").mkdir()
    (tmp_path / "vassals" / "a\u202e.ini").touch()
    for told, code, said in (
        ("./wrap", 0, f"  a\\u202e.ini: {tmp_path}/wrap --ini 'a\\u202e.ini'"),
        ("./nosuch", 1, "  a\\u202e.ini: barred: --wrapper ./nosuch: there is no such program"),
    ):
        with Daemon(tmp_path, "--wrapper", told, "--check") as daemon:
            daemon.launch()
            assert daemon.wait() == code, daemon.account()
            assert said in daemon.log()


def test_check_tells_who_is_on_demand(tmp_path: Path) -> None:
    options = ("--uwsgi", "/bin/true", "--on-demand-extension", ".at", "--check")
    with Daemon(tmp_path, *options) as daemon:
        for name, config in (("a.ini", ""), ("b.ini", "[uwsgi]\nsocket = 0.0.0.0:80\n")):
            (daemon.vassals / name).write_text(config)
            (daemon.vassals / f"{name}.at").write_text(":80")
        daemon.launch()
        assert daemon.wait() == 0, daemon.account()
        assert daemon.log().splitlines()[1:] == [
            f"  a.ini: /bin/true --ini a.ini  (on demand at :80)  (in {daemon.vassals})",
            (
                "  b.ini: /bin/true --ini b.ini  (on demand at :80, which its config must not bind"
                f" itself: remove that line)  (in {daemon.vassals})"
            ),
        ]


def test_check_names_flaws(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.ini").write_text("")
    with Daemon(tmp_path, "--uwsgi", "/no/uwsgi", "--check") as daemon:
        daemon.monitors += [other, tmp_path / "missing"]
        (daemon.vassals / "a.ini").write_text("")
        (daemon.vassals / "b.ini").write_text("[emperor]\ncolour = blue\n")
        (daemon.vassals / "c\n.ini").write_text("")
        (daemon.vassals / "d.ini").write_text("[emperor]\ncommand = ./no-such-program\n")
        daemon.launch()
        assert daemon.wait() == 1, daemon.account()
        said = daemon.log()
    assert "a.ini: barred: --uwsgi /no/uwsgi" in said
    assert "b.ini: barred: [emperor] colour" in said
    assert "c\\n.ini: rejected: the name has a control character" in said
    assert "d.ini: barred: cannot be executed: ./no-such-program: No such file" in said
    assert f"a.ini: rejected: the name belongs to dir://{daemon.vassals}" in said
    assert "cannot be read: " in said.partition("missing")[2]


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        pytest.param("²", "there is no user ²", id="a digit that is no number"),
        pytest.param(":www-data", ":www-data names no user; write USER or USER:GROUP", id="none"),
        pytest.param("61001:²", "there is no group ²", id="a group that is no number"),
        pytest.param("61001:0", "61001:0 has root's group; write USER:GROUP", id="root's gid"),
        pytest.param("61001:root", "61001:root has root's group", id="root's group"),
        pytest.param("0:61001", "0:61001 is root; if that is meant, say --as-root", id="root"),
        pytest.param("-5", "there is no user -5", id="a negative number"),
    ],
)
def test_why_a_user_is_refused(user: str, reason: str) -> None:
    result = run("--user", user, "dir:///v", standalone=True)
    assert result.exit_code == 2
    assert reason in " ".join(result.output.split())


def test_a_mode_that_is_no_number() -> None:
    result = run("--on-demand-mode", "²", "dir:///v", standalone=True)
    assert "² is no mode; write octal digits" in " ".join(result.output.split())


@pytest.mark.parametrize("name", ["uid", "gid", "emperor-uid"])
def test_uwsgis_uid_is_answered_with_user(tmp_path: Path, name: str) -> None:
    config = tmp_path / "emperor.yml"
    config.write_text(f"{name}: www-data\n")
    for words in (("--config", str(config)), (f"--{name}", "www-data")):
        result = run(*words, "dir:///v", standalone=True)
        assert result.exit_code == 2
        advice = "to run all vassals as one user, give user (--user USER[:GROUP])"
        assert advice in " ".join(result.output.split())


def test_a_ceiling_of_parts_that_are_kept() -> None:
    assert tell("--log-keep", "1000", "dir:///v")["log_keep"] == 1000
    result = run("--log-keep", "1001", "dir:///v", standalone=True)
    assert "1001 is out of range; write a whole number, 0 to 1000" in " ".join(
        result.output.split()
    )


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--freq=-1",), "-1 is out of range; write a duration from 10ms to 365d"),
        (("--throttle", "-3s"), "-3s is out of range; write a duration from 1ms to 365d"),
        (("--log-size=-4K",), "-4K is out of range; write 4K or more"),
        (("--forgive", "-0"), "-0 is out of range"),
        (("--freq=--1",), "'--1' is not a duration"),
    ],
)
def test_less_than_nothing_is_out_of_range(words: tuple[str, ...], reason: str) -> None:
    result = run(*words, "dir:///v", standalone=True)
    assert reason in " ".join(result.output.split())
