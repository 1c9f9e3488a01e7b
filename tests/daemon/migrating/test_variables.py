"""The variables that programs get from written configs, which are run for this."""

from pathlib import Path

import pytest
from emperord.daemon.migrating import run
from support.migrating import ENVIRON, printed


def written(source: Path) -> Path:
    """The one config that is written from a file."""
    folder = source.parent / "written"
    run.migrate(run.Request((str(source),), str(folder)), ENVIRON)
    (config,) = folder.glob("*.ini*")
    return config


@pytest.mark.parametrize(
    ("command", "env", "says"),
    [
        pytest.param("PORT=8000 A=1 printenv PORT A", None, "8000|1", id="alone"),
        pytest.param("PORT=8000 A=1 printenv PORT A", "A=file\n", "8000|1", id="over .env"),
        pytest.param("PORT=8000 A=1 printenv PORT A", "PORT=1\n", "8000|1", id="over its PORT"),
        pytest.param("A='x  y' printenv PORT A", "PORT=7\nA=f\n", "7|x  y", id="beside PORT"),
        pytest.param("B=2 printenv A B", "A=file\n", "file|2", id="beside .env"),
        pytest.param("A=1 printenv A 2>&1", "A=file\n", "1", id="in a shell"),
        pytest.param("A=~/a:~/b printenv A", "HOME=/h\nA=f\n", "/h/a:/h/b", id="of a home"),
        pytest.param("A=$B printenv A", "B='x  y'\n", "x  y", id="of one with blanks"),
    ],
)
def test_variables_before_a_command_win(
    command: str, env: str | None, says: str, tmp_path: Path
) -> None:
    if env is not None:
        tmp_path.joinpath(".env").write_text(env)
    tmp_path.joinpath("Procfile").write_text(f"web: {command}\n")
    config = written(tmp_path / "Procfile")
    assert printed(config).splitlines() == says.split("|")


def test_a_port_that_is_none_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tmp_path.joinpath(".env").write_text("PORT=http\n")
    tmp_path.joinpath("Procfile").write_text("web: printenv PORT\n")
    assert printed(written(tmp_path / "Procfile")) == "5000\n"
    assert ".env: PORT: not taken: it is no port" in capsys.readouterr().err


def test_an_emperor_behind_variables_is_no_vassal(tmp_path: Path) -> None:
    tmp_path.joinpath(".env").write_text("A=file\n")
    tmp_path.joinpath("Procfile").write_text("web: A=1 uwsgi --emperor /v\n")
    assert written(tmp_path / "Procfile").name == "web.ini.off"


PRINTF = "/usr/bin/printf '[%%s]' start"


@pytest.mark.parametrize(
    ("given", "words", "prints"),
    [
        pytest.param("'X=a b  c'", "$X", "[a][b][c]", id="blanks"),
        pytest.param("'X=*'", "$X", "[*]", id="no pattern"),
        pytest.param("A='a' 'B=\"b b\" c'", "$A $B", "[a][b b][c]", id="quotes"),
        pytest.param(r'''"X=\"two two\" 'a\\'b c'"''', "$X", "[two two][a'b c]", id="mixed"),
        pytest.param(r"'X=a\\ b \\$x'", "$X", "[a b][$x]", id="backslashes"),
        pytest.param("""'X="a'""", "$X", "[a]", id="a quote without an end"),
        pytest.param("""'X="$Y ${Y}"' Y=1""", "$X", "[$Y ${Y}]", id="not expanded again"),
        pytest.param("""'X="a b"'""", "${X} x$X", '["a b"][x$X]', id="a part of a word"),
        pytest.param("""'X="a b"'""", "$X ${X} $X", '[a b]["a b"][a b]', id="both"),
        pytest.param("""'X=""'""", "$X", "[]", id="an empty word"),
        pytest.param("X=", "$X", "", id="no word"),
        pytest.param("""'X="a b"' X=c""", "$X", "[c]", id="the last value"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", ["ExecStart", "ExecStartPre"])
def test_a_variable_becomes_the_words_that_systemd_makes(
    key: str, given: str, words: str, prints: str, tmp_path: Path
) -> None:
    """systemd 252 makes these words of these values."""
    last = "ExecStart=/bin/true\n" if key == "ExecStartPre" else ""
    tmp_path.joinpath("app.service").write_text(
        f"[Service]\nEnvironment={given}\n{key}={PRINTF} {words}\n{last}"
    )
    assert printed(written(tmp_path / "app.service")) == f"[start]{prints}"


@pytest.mark.parametrize(
    ("given", "words", "name", "told"),
    [
        pytest.param("", "$X", "app.ini", "$X: the shell splits a value at blanks", id="unknown"),
        pytest.param("X=a", "$X", "app.ini", "$X: the shell splits a value at blanks", id="plain"),
        pytest.param("'X=\"a\"'", "$X", "app.ini.off", "$X has quotes, and a file", id="quotes"),
        pytest.param("'X=\"a\"'", "${X}", "app.ini", "", id="a part of a word"),
    ],
)
def test_a_variable_that_a_file_may_have_is_told(
    given: str, words: str, name: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path.joinpath("app.service").write_text(
        f"[Service]\nEnvironment={given}\nEnvironmentFile=-/none\nExecStart=/bin/echo {words}\n"
    )
    assert written(tmp_path / "app.service").name == name
    report = capsys.readouterr().err
    assert told in report
    assert ("quotes" in report) is bool(told)


@pytest.mark.parametrize(
    ("lines", "prints"),
    [
        pytest.param(["/bin/true", "-/bin/false"], "up\n", id="one may fail"),
        pytest.param(["-/bin/false", "/bin/true"], "up\n", id="the first may fail"),
        pytest.param(["/bin/false", "-/bin/false"], "", id="one before it may not"),
        pytest.param(["-/bin/false", "/bin/false"], "", id="one after it may not"),
    ],
)
def test_a_program_starts_after_those_that_may_not_fail(
    lines: list[str], prints: str, tmp_path: Path
) -> None:
    before = "".join(f"ExecStartPre={line}\n" for line in lines)
    tmp_path.joinpath("app.service").write_text(f"[Service]\n{before}ExecStart=/bin/echo up\n")
    assert printed(written(tmp_path / "app.service"), code=0 if prints else 1) == prints
