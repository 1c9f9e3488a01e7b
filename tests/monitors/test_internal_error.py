"""An error of the daemon's own about one vassal of a source: the others of it are served."""

import logging
import os
from pathlib import Path
from typing import Any

import pytest
from emperord.monitors import rows, sections, settings
from emperord.monitors.config_file import ConfigFiles
from emperord.monitors.contract import Listing
from emperord.monitors.files.file_state import Unreadable
from emperord.monitors.files.reader import Reader
from emperord.monitors.options import MonitorOptions
from emperord.monitors.rows import Row
from emperord.monitors.table import Table
from support.hostile import SECRET, VICTIM, plant

OPTIONS = MonitorOptions()


def test_a_section_that_cannot_be_read_bars_its_vassal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sections.FORMATS, ".ini", broken)
    found, flaw = settings.read("a.ini", b"[emperor]\ncommand = x\n")
    assert found == {}
    assert flaw is not None
    assert flaw.startswith("[emperor] error of the daemon: KeyError at test_internal_error.py:")


def broken(_: bytes) -> Any:
    raise KeyError(SECRET)


def test_a_row_is_refused_and_the_others_are_listed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plant(monkeypatch, rows, "_spec")
    reading = Table(OPTIONS, {}).reading()
    with caplog.at_level(logging.ERROR):
        for name in ("good.ini", VICTIM, "late.ini"):
            reading.add(Row(name, "[uwsgi]", 1))
    listing = reading.listing()
    assert isinstance(listing, Listing)
    assert list(listing.seen) == ["good.ini", "late.ini"]
    assert list(listing.refused) == [VICTIM]
    assert listing.refused[VICTIM].startswith("error of the daemon: Planted at hostile.py:")
    assert SECRET not in caplog.text + listing.refused[VICTIM]
    assert f"{VICTIM}: error of the daemon" in caplog.text


def test_a_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that cannot be read is still there: its vassal goes on."""
    plant(monkeypatch, ConfigFiles, "take")
    (tmp_path / VICTIM).write_text("[uwsgi]\n")
    reader = Reader(OPTIONS, str(tmp_path))
    directory = os.open(tmp_path, os.O_PATH)
    try:
        seen = reader.look(VICTIM, (directory, str(tmp_path), VICTIM), None, lambda _: None)
    finally:
        os.close(directory)
    assert isinstance(seen, Unreadable)
    assert seen.reason.startswith("error of the daemon: Planted at hostile.py:")
