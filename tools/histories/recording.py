"""The journal of a run as the text of a history, without the paths of the machine."""

import re
import sys
from pathlib import Path
from typing import Final

import msgspec
from emperord.journal.reading import open_journal
from emperord.replay.histories.check import check_text
from emperord.replay.histories.history import History
from emperord.replay.histories.recorded import recorded
from emperord.replay.histories.text import write

PLACE: Final = "/srv/emperord"
_PROJECT: Final = str(Path(__file__).resolve().parents[2])


def record(folder: Path, name: str, doc: str) -> str:
    """The text of the history of the run in a folder. ``doc`` says what happens."""
    with open_journal(str(folder / "state" / "journal.db")) as reader:
        history = recorded(reader, 0, reader.head.seq)
    note = " ".join(doc.partition("\n\n")[0].split())
    text = _without_places(write(_noted(history, note, folder)), folder)
    outcome = check_text(text, name)
    assert outcome.same, outcome
    return text


def _noted(history: History, note: str, folder: Path) -> History:
    """The history with what it is for; without texts that hold the paths of this machine."""
    places = (str(folder).encode(), _PROJECT.encode())
    return history.replaced(
        header=msgspec.structs.replace(history.header, notes=(note,)),
        texts={
            digest: content
            for digest, content in history.texts.items()
            if not any(place in content for place in places) and len(content) < 4096
        },
    )


def _without_places(text: str, folder: Path) -> str:
    text = text.replace(str(folder), PLACE)
    text = re.sub(r"/tmp/emperord-tyrant-\w+", PLACE, text)  # noqa: S108
    text = text.replace(sys.executable, "/usr/bin/python3").replace(_PROJECT, "/usr/lib/emperord")
    return re.sub(r'"boot":"[^"]+"', '"boot":"5e0bd4e5-6d4b-4c43-b9a0-6f0f3f0b8d7e"', text)
