"""The command line: every option under both names, the environment, --config."""

import os
from pathlib import Path

import msgspec
import pytest
from emperord.daemon import options
from emperord.daemon.main import main
from emperord.journal.policy import Policy
from support.options import VALUES, run, tell

ELSEWHERE = {"config", "check", "monitor", "emperor", "help", "version"}
ELSEWHERE |= {
    "from",
    "migrate",
    "output",
    "overwrite",
    "formation",
    "try_start",
}  # all of them are tested by their effects
OTHER_NAMES = {
    "curse-tolerance": "mercy",
    "emperor-curse-tolerance": "mercy",
    "emperor-extra-ext": "extra-extension",
    "emperor-on-demand-ext": "on-demand-extension",
    "emperor-on-demand-dir": "on-demand-directory",
    "vassals-set": "vassal-set",
    "vassals-start-hook": "start-hook",
    "vassals-stop-hook": "stop-hook",
    "pidfile2": "pidfile",
    "safe-pidfile": "pidfile",
    "safe-pidfile2": "pidfile",
    "stats-server": "stats",
    "logto": "log-file",
    "logto2": "log-file",
    "daemonize2": "daemonize",
}


def key(option: str) -> str:
    return option.replace("-", "_")


def test_the_table_has_every_option() -> None:
    names = {parameter.name for parameter in main.params}
    assert names == {key(option) for option in VALUES} | (ELSEWHERE - {"help"})


def test_every_deciding_option_can_be_set() -> None:
    # From --max-starting auto, and from monitors.
    follow = {"max_starting_ceiling", "rollout_of"}
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
