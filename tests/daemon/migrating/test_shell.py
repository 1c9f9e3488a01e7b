"""Command lines of a Procfile, as commands without a shell where that is possible."""

import pytest
from emperord.daemon.migrating import dotenv, shell


@pytest.mark.parametrize(
    ("line", "made"),
    [
        pytest.param("puma -C 'a b'", "puma -C 'a b'", id="words"),
        pytest.param("x '$PORT'", "x '$PORT'", id="single quotes"),
        pytest.param(r"x \$PORT", r"x \$PORT", id="escaped"),
        pytest.param("sh -c 'a | b'", "sh -c 'a | b'", id="a shell already"),
        pytest.param("x $PORT", "sh -c 'exec x $PORT'", id="variable"),
        pytest.param('x "$PORT"', "sh -c 'exec x \"$PORT\"'", id="double quotes"),
        pytest.param("x `pwd`", "sh -c 'exec x `pwd`'", id="backticks"),
        pytest.param("x *.py", "sh -c 'exec x *.py'", id="pattern"),
        pytest.param("x ~/a", "sh -c 'exec x ~/a'", id="home"),
        pytest.param("x a~b", "x a~b", id="tilde within"),
        pytest.param("x A=~/b", "x A=~/b", id="tilde of a word that sets nothing"),
        pytest.param("A=~/b x", "sh -c 'A=~/b exec x'", id="home in a variable"),
        pytest.param("B=1 A=/a:~/b x", "sh -c 'B=1 A=/a:~/b exec x'", id="home in a path"),
        pytest.param("A='~/b' x", "x", id="quoted tilde in a variable"),
        pytest.param(r"A=\~/b x", "x", id="escaped tilde in a variable"),
        pytest.param("A=b~ x", "x", id="tilde within a variable"),
        pytest.param("A=~/b", "sh -c 'A=~/b'", id="home in a variable alone"),
        pytest.param("x 2>&1", "sh -c 'exec x 2>&1'", id="redirect"),
        pytest.param("a && b", "sh -c 'a && exec b'", id="and"),
        pytest.param("a;b", "sh -c 'a; exec b'", id="then"),
        pytest.param("a && exec b", "sh -c 'a && exec b'", id="exec already"),
        pytest.param("exec a", "sh -c 'exec a'", id="exec alone"),
        pytest.param("A=1 exec a", "sh -c 'A=1 exec a'", id="exec behind a variable"),
        pytest.param(". ./a", "sh -c '. ./a'", id="built in alone"),
        pytest.param("a && cd b", "sh -c 'a && cd b'", id="built in"),
        pytest.param("a && (b)", "sh -c 'a && (b)'", id="subshell"),
        pytest.param("a || b", "sh -c 'a || b'", id="or"),
        pytest.param("a & b", "sh -c 'a & b'", id="background"),
        pytest.param("A=$B x", "sh -c 'A=$B exec x'", id="variable before it"),
        pytest.param(
            "A=$B C=d\\ e  x y", "sh -c 'A=$B C=d\\ e  exec x y'", id="variables before it"
        ),
        pytest.param("a && A=$B x", "sh -c 'a && A=$B exec x'", id="variable before the last"),
        pytest.param("A=`b c` x", "sh -c 'A=`b c` x'", id="backticks in a variable"),
        pytest.param("A=$B eval x", "sh -c 'A=$B eval x'", id="built in behind a variable"),
        pytest.param("A=${B:-c d} x", "sh -c 'A=${B:-c d} x'", id="a default with a blank"),
        pytest.param("a && A=$B", "sh -c 'a && A=$B'", id="a variable alone"),
        pytest.param("for a in b; do c; done", "sh -c 'for a in b; do c; done'", id="loop"),
    ],
)
def test_a_line_is_run_by_a_shell_only_if_it_needs_one(line: str, made: str) -> None:
    assert shell.command(line).text == made


def test_variables_before_a_command_are_its_environment() -> None:
    made = shell.command("A=1 B='x y' run it")
    assert made.text == "run it"
    assert made.variables == (("A", "1"), ("B", "x y"))


@pytest.mark.parametrize(
    ("line", "value", "same"),
    [
        pytest.param("A=x", "x", True, id="plain"),
        pytest.param("A = x", "x", True, id="blanks"),
        pytest.param("A=", "", True, id="empty"),
        pytest.param("A='x y'", "x y", True, id="single"),
        pytest.param('A="x y"', "x y", True, id="double"),
        pytest.param('A="x \\"y\\""', 'x "y"', True, id="escaped"),
        pytest.param('A="x\\y"', "xy", False, id="another escape"),
        pytest.param("A=x # y", "x", False, id="comment"),
        pytest.param("A=x#y", "x#y", True, id="no comment"),
        pytest.param("A='x' # y", "x", False, id="comment after quotes"),
        pytest.param("export A=x", "x", False, id="export"),
        pytest.param('A="x\\ny"', "x\ny", False, id="line break"),
    ],
)
def test_a_dotenv_is_read_as_foreman_does(line: str, value: str, same: bool) -> None:
    made = dotenv.read(f"# note\n\n{line}\n")
    assert made.variables == {"A": value}
    assert dotenv.same_here(line, made.variables) is same


@pytest.mark.parametrize(
    "value", ["", "x", "x y", " x", "x ", "#x", ";x", "'x'", '"x"', 'a"b', "a\\b", "a\\"]
)
def test_a_written_value_is_read_here(value: str) -> None:
    assert dotenv.same_here(dotenv.written({"A": value}), {"A": value})


def test_a_line_of_a_dotenv_that_does_not_count_is_named() -> None:
    made = dotenv.read("A=x\nno\nA=y\n")
    assert made.variables == {"A": "y"}
    assert [line for line, _ in made.flaws] == ["line 2", "A"]
