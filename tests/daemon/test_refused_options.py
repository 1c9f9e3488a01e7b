"""Options and config files that the daemon refuses, with the words that it says."""

from pathlib import Path

import pytest
from support.options import VALUES, run, tell


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
        pytest.param(["--user", "root", "v"], "give --as-root", id="user root"),
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
        pytest.param("freq: 1\nfreq: 2", "freq is there twice in", id="twice in YAML"),
        pytest.param("frek: 1", "there is no option frek; did you mean freq?", id="mistyped"),
        pytest.param("nonsense: 1", "'emperor --help' has all options", id="nothing near"),
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


PLACES: dict[str, tuple[list[str], dict[str, str], str]] = {
    "the command line": (
        ["--freq", "zz", "v"],
        {},
        "for --freq: 'zz' is not a duration",
    ),
    "a name of uWSGI's": (
        ["--emperor-curse-tolerance", "zz", "v"],
        {},
        "for --mercy: 'zz' is not a duration",
    ),
    "the environment": (
        ["v"],
        {"EMPEROR_FREQ": "zz"},
        "for EMPEROR_FREQ in the environment: 'zz' is not a duration",
    ),
    "the environment, by uWSGI's name": (
        ["v"],
        {"EMPEROR_CURSE_TOLERANCE": "zz"},
        "for EMPEROR_CURSE_TOLERANCE in the environment: 'zz' is not a duration",
    ),
    "the config file": (
        ["--config", "bad.yml", "v"],
        {},
        "for log-size in the file of --config: 'zz' is not a size",
    ),
    "nowhere": ([], {}, "Give a directory, a pattern or a URL, as in 'emperor /etc/vassals'"),
}


@pytest.mark.parametrize(("arguments", "environ", "told"), PLACES.values(), ids=PLACES)
def test_an_error_names_the_place_of_the_wrong_value(
    arguments: list[str],
    environ: dict[str, str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "bad.yml").write_text("log-size: zz")
    monkeypatch.chdir(tmp_path)
    result = run(*arguments, environ=environ, standalone=True)
    assert result.exit_code == 2
    assert told in result.stderr
