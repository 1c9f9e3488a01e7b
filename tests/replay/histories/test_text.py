"""The text of a history: stable, readable, and each error names its line."""

import pytest
from emperord.journal.chain import digest
from emperord.journal.errors import Damaged, NewerFormat
from emperord.replay.histories.history import GONE, NOTHING, Header, History
from emperord.replay.histories.text import read, write

from .conftest import BYTES, TEXT


def test_a_text_is_read_as_what_was_written(whole: History, later: History) -> None:
    for history in (whole, later):
        text = write(history)
        assert read(text) == history
        assert write(read(text)) == text


def test_a_history_begins_with_nothing_or_with_a_fleet(whole: History, later: History) -> None:
    assert whole.start == NOTHING
    assert [*later.fleet().vassals] == ["a.ini", "my app.ini"]
    assert later.fleet().policy == whole.decider[1]
    assert later.decider == whole.decider


def test_an_event_its_actions_and_the_states_are_lines(whole: History) -> None:
    lines = write(whole).splitlines()
    place = lines.index('9 +8s exited a.ini - <-3 {"attempt":3,"code":1,"log":"Traceback\\nImport'
                        'Error"}')  # fmt: skip
    assert lines[place + 1 : place + 5] == [
        '  = a.ini throttled {"config":"c1","deaths":1,"deadline":"+13s"}',
        '10 +9s deadline_passed a.ini - {"deadline":"+13s"}',
        '  -> spawn a.ini {"attempt":10,"config":"c1"}',
        '  = a.ini starting {"attempt":10,"config":"c1","deaths":1,"deadline":"+39s"}',
    ]
    assert '  = "my app.ini" gone' in lines
    assert whole.steps[11].expectations[0].phase == GONE


def test_texts_are_lines_unless_they_are_none(whole: History) -> None:
    assert sorted(whole.texts.values()) == sorted((TEXT, BYTES))
    end = write(whole).splitlines()[-8:]
    assert end == [
        "text c1",
        "  | [uwsgi]",
        "  |",
        "  | master = true",
        "  \\ no newline at the end",
        "",
        "text c2",
        "  & /wA=",
    ]


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"a", b"a\n", b"\n\n", b"a\r\nb\n", "ä\u2028b\n".encode(), b"  | a \n\n"],
)
def test_any_text_comes_back(whole: History, content: bytes) -> None:
    history = whole.replaced(texts={digest(content): content})
    assert read(write(history)).texts == history.texts


def test_lines_of_people_stay(later: History) -> None:
    header = Header(
        **{field: getattr(later.header, field) for field in ("version", "made_from", "sources")},
        notes=("the pool is too small",),
        rewritten=("2026-11-26 mercy is doubled", "2026-11-27 and halved"),
        left_out=("2 vassals",),
        redacted=True,
    )
    text = write(later.replaced(header=header))
    text = text.replace("\n9 +0s", "\n# It dies here.\n#  Why?\n9 +0s")
    history = read(text)
    assert history.header == header
    assert history.steps[0].comments == ("# It dies here.", "#  Why?")
    assert write(history) == text


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        pytest.param("# emperord", "# emperor", 1, "no history: the first line is not", id="first"),
        pytest.param("rules: 2", "rule: 2", 3, "is no line of a header", id="header"),
        pytest.param('":5000,', '":"x",', 4, "Expected `int`", id="policy"),
        pytest.param("a.ini dir:vassals {", "a.ini other {", 15, "source other", id="source"),
        pytest.param("\n4 +3s", "\n2 +3s", 18, "event 2 is not after event 3", id="order"),
        pytest.param("\n4 +3s", "\n4 +1s", 18, "event 4 is not after event 3", id="time"),
        pytest.param("\n4 +3s", "\n4 3", 18, "'3' is no offset", id="offset"),
        pytest.param('"code":1', '"cod":1', 27, "no field 'cod' in this body", id="field"),
        pytest.param('"code":1', '"code":"1"', 27, "body of exited does not fit", id="type"),
        pytest.param("-> spawn", "-> span", 16, "Invalid enum value 'span'", id="action"),
        pytest.param("= a.ini starting", "= a.ini begun", 17, "begun is no phase", id="phase"),
        pytest.param('"deaths":1', '"death":1', 28, "death is no field here", id="fact"),
        pytest.param("| master", "| mister", 48, "is not the one that its digest", id="digest"),
        pytest.param("text c1", "text c7", 42, "config c7 is not in the header", id="config"),
        pytest.param("  & /wA=", "  & /wA", 50, "is no base64", id="base64"),
        pytest.param("start: nothing", "", 13, "'1 +0s daemon_started", id="no-start"),
    ],
)
def test_an_error_names_the_line_and_what_to_do(
    whole: History, old: str, new: str, line: int, says: str
) -> None:
    with pytest.raises(Damaged) as raised:
        read(write(whole).replace(old, new, 1), "a.history")
    text = str(raised.value)
    assert text.startswith(f"a.history:{line}: ")
    assert says in text
    assert text.endswith("; take the file from version control, or export it again")


def test_a_file_that_was_cut_says_so(whole: History) -> None:
    with pytest.raises(Damaged, match=r"^a\.history:5: the line 'start:' is missing"):
        read("\n".join(write(whole).splitlines()[:5]), "a.history")


def test_a_header_that_contradicts_its_first_event_is_damaged(whole: History) -> None:
    text = write(whole).replace("rules: 2", "rules: 1", 1)
    with pytest.raises(Damaged, match="the header has other rules than event 1"):
        read(text)


@pytest.mark.parametrize(
    ("old", "new"),
    [("history 1", "history 2"), ("rules: 2", "rules: 99"), (" exited ", " vanished ")],
)
def test_a_newer_one_is_not_damaged(whole: History, old: str, new: str) -> None:
    with pytest.raises(NewerFormat, match=r"^a\.history:\d+: .*; read it with a newer emperord$"):
        read(write(whole).replace(old, new, 1), "a.history")
