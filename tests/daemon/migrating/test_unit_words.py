"""Words, command lines, times and specifiers of units, as systemd reads them."""

import os
from pathlib import Path

import pytest
from emperord.daemon.migrating import unit_file, unit_words
from emperord.daemon.migrating.found import Refused


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("a  b\tc", ["a", "b", "c"], id="blanks"),
        pytest.param("'a b' \"c d\"", ["a b", "c d"], id="quotes"),
        pytest.param("--x='a b' y\"z\"", ["--x=a b", "yz"], id="quotes within a word"),
        pytest.param(r"a\x41\101\sb \u00e9", ["aAA b", "é"], id="escapes"),
        pytest.param(r"\q", [r"\q"], id="no escape"),
        pytest.param(r'"a \"b\""', ['a "b"'], id="escaped quote"),
        pytest.param("''", [""], id="empty"),
        pytest.param("", [], id="nothing"),
    ],
)
def test_words(text: str, found: list[str]) -> None:
    assert unit_words.words(text) == found


@pytest.mark.parametrize("text", ["'a", '"a b', "a\\"])
def test_a_quote_without_an_end_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="has no end"):
        unit_words.words(text)


@pytest.mark.parametrize(
    ("text", "prefixes", "script"),
    [
        pytest.param("/a b", "", "/a b", id="plain"),
        pytest.param("-/a b", "-", "/a b", id="may fail"),
        pytest.param("@/a name b", "@", "/a b", id="another name"),
        pytest.param("/a ${B}c", "", '/a "${B}"c', id="part of a word"),
        pytest.param("/a $B", "", "/a $B", id="several words"),
        pytest.param("/a x$B", "", "/a 'x$B'", id="not expanded within a word"),
        pytest.param("/a $$B", "", "/a \\$B", id="a dollar sign"),
        pytest.param(":/a $B", ":", "/a '$B'", id="nothing is expanded"),
        pytest.param("/a 'b c'", "", "/a 'b c'", id="quoted"),
        pytest.param("/a ''", "", "/a ''", id="empty word"),
        pytest.param("/a \\; b", "", "/a ';' b", id="semicolon"),
    ],
)
def test_a_command_line(text: str, prefixes: str, script: str) -> None:
    (made,) = unit_words.execs(text, str)
    assert (made.prefixes, made.script) == (prefixes, script)


def test_semicolons_part_commands() -> None:
    assert [each.script for each in unit_words.execs("/a b ; -/c ;", str)] == ["/a b", "/c"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("5", "5s", id="plain"),
        pytest.param("1min 30s", "90s", id="two"),
        pytest.param("2h", "7200s", id="hours"),
        pytest.param("1.5s", "1500ms", id="fraction"),
        pytest.param("500ms", "500ms", id="milliseconds"),
        pytest.param("3 seconds", "3s", id="blank and word"),
        pytest.param("infinity", "86400s", id="for ever"),
        pytest.param("2w", "86400s", id="a day is the most"),
        pytest.param("soon", None, id="no number"),
        pytest.param("5 parsecs", None, id="no unit"),
    ],
)
def test_a_time_span(text: str, found: str | None) -> None:
    amount = unit_words.seconds(text)
    assert (None if amount is None else unit_words.duration(amount)) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("a=1 \\\n  ; no\n 2\\\n3\n", [("a", "1 2 3")], id="past comments"),
        pytest.param("# no\n\na=1\na=\n", [("a", "1"), ("a", "")], id="empty"),
        pytest.param("a=1\\", [("a", "1")], id="at the end"),
        pytest.param("a=1\nb=2 \\\n", [("a", "1"), ("b", "2")], id="at the end, after others"),
        pytest.param("a=1\\\n# no", [("a", "1")], id="before a comment at the end"),
        pytest.param("a=1\\\\\nb=2\n", [("a", "1\\\\"), ("b", "2")], id="two backslashes"),
        pytest.param("\\\n", [], id="alone"),
    ],
)
def test_a_line_goes_on_after_a_backslash(text: str, found: list[tuple[str, str]]) -> None:
    lines = list(unit_file.lines(f"[A]\n{text}"))
    assert lines == [unit_file.Line("A", key, value) for key, value in found]


def test_lines_that_systemd_ignores_are_marked() -> None:
    found = list(unit_file.lines("a=1\n[B]\nc\n[D\n"))
    assert [(each.text, each.flaw.partition(",")[0]) for each in found] == [
        ("a = 1", "it is in no section"),
        ("c", "it has no ="),
        ("[D", "it has no ="),
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("%n", r"app@a-b\x2dc.service"),
        ("%N", r"app@a-b\x2dc"),
        ("%p %P", "app app"),
        ("%i", r"a-b\x2dc"),
        ("%I %f", "a/b-c /a/b-c"),
        ("%t %S %h %u", "/run /var/lib /root root"),
        ("%H", os.uname().nodename),
        ("100%%", "100%"),
    ],
)
def test_specifiers(text: str, found: str, tmp_path: Path) -> None:
    tmp_path.joinpath("app@.service").touch()
    (unit,) = unit_file.units(str(tmp_path / r"app@a-b\x2dc.service"), {})
    assert unit.expand(text) == found


def test_a_unit_of_a_user_has_the_users_folders(tmp_path: Path) -> None:
    folder = tmp_path / "systemd" / "user"
    folder.mkdir(parents=True)
    folder.joinpath("app.service").touch()
    environ = {"HOME": "/home/op", "USER": "op", "XDG_RUNTIME_DIR": "/run/user/7"}
    (unit,) = unit_file.units(str(folder / "app.service"), environ)
    assert unit.expand("%h %u %t %E") == "/home/op op /run/user/7 /home/op/.config"


def test_a_template_without_instances_is_refused_with_advice(tmp_path: Path) -> None:
    tmp_path.joinpath("app@.service").write_text("[Service]\nExecStart=/a\n")
    with pytest.raises(Refused, match=r"name them, as in --migrate .*/app@one\.service"):
        unit_file.units(str(tmp_path / "app@.service"), {})
    tmp_path.joinpath("app@.service").write_text("[Install]\nDefaultInstance=main\n")
    assert [each.name for each in unit_file.units(str(tmp_path / "app@.service"), {})] == [
        "app@main.service"
    ]


def test_the_link_of_an_enabled_unit_leads_to_it(tmp_path: Path) -> None:
    there, wants = tmp_path / "system", tmp_path / "multi-user.target.wants"
    there.mkdir()
    wants.mkdir()
    (there / "app@.service").touch()
    (there / "app@.service.d").mkdir()
    (there / "app@.service.d" / "a.conf").touch()
    (wants / "app@one.service").symlink_to(there / "app@.service")
    (unit,) = unit_file.units(str(wants / "app@one.service"), {})
    assert unit.name == "app@one.service"
    assert unit.files == [str(there / "app@.service"), str(there / "app@.service.d" / "a.conf")]


def test_a_masked_unit_is_refused(tmp_path: Path) -> None:
    tmp_path.joinpath("app.service").symlink_to(os.devnull)
    with pytest.raises(Refused, match="the unit is masked"):
        unit_file.units(str(tmp_path / "app.service"), {})
