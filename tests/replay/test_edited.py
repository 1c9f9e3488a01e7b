"""The incident ``edited``: each copy that was edited verifies alone, or names the row."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.incidents import told

REWRITTEN = "so its past was rewritten"


@pytest.mark.parametrize(
    ("copy", "how"),
    [
        ("body", REWRITTEN),
        ("time", REWRITTEN),
        ("text", REWRITTEN),
        ("tail", "its tail was cut, or an older copy was put back"),
        ("journal", "an older copy was put back: it ends with event "),
        ("part", "an older copy was put back: it ends with event "),
    ],
)
def test_a_copy_that_verifies_alone(incident: Callable[[str], str], copy: str, how: str) -> None:
    journal = Path(incident("edited"))
    path = str(journal.with_name(f"{copy}.db"))
    assert "verified" in told(path, "verify")
    witness = journal.parents[1] / "witness"
    found = told(path, "verify", "--witness", str(witness), code=3)
    assert how in found
    assert "are as witnessed" in found or "are intact" in found


def test_the_copy_that_nobody_edited(incident: Callable[[str], str]) -> None:
    journal = Path(incident("edited"))
    witness = journal.parents[1] / "witness"
    whole = str(journal.with_name("whole.db"))
    assert "4 lines of" in told(whole, "verify", "--witness", str(witness))


@pytest.mark.parametrize(
    ("copy", "found"),
    [("row", "its row is not what was written"), ("content", "the text is not what was deployed")],
)
def test_an_edit_without_knowledge_of_the_chain(
    incident: Callable[[str], str], copy: str, found: str
) -> None:
    path = Path(incident("edited")).with_name(f"{copy}.db")
    assert found in told(str(path), "verify", code=3)


def test_rows_behind_the_last_witnessed_one_prove_nothing(incident: Callable[[str], str]) -> None:
    journal = Path(incident("edited"))
    witness = journal.parents[1] / "witness"
    found = told(str(journal.with_name("body.db")), "verify", "--witness", str(witness), code=3)
    saved = next(line for line in found.splitlines() if "what can be saved" in line)
    assert " are as witnessed; events " in saved
    assert saved.endswith(" fit together, and may be rewritten")
