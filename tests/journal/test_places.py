"""Where a journal is when nobody says so."""

import os

import pytest
from emperord.journal.places import SYSTEM, default_journal


@pytest.mark.parametrize(
    ("uid", "environment", "expected"),
    [
        pytest.param(0, {}, SYSTEM, id="root"),
        pytest.param(
            1000, {"HOME": "/home/a"}, "/home/a/.local/state/emperord/journal.db", id="a user"
        ),
        pytest.param(
            1000,
            {"HOME": "/home/a", "XDG_STATE_HOME": "/s"},
            "/s/emperord/journal.db",
            id="a user's own state directory",
        ),
        pytest.param(
            1000,
            {"HOME": "/home/a", "XDG_STATE_HOME": "s"},
            "/home/a/.local/state/emperord/journal.db",
            id="a relative one is ignored, as XDG says",
        ),
        pytest.param(0, {"EMPEROR_JOURNAL": "/x.db"}, "/x.db", id="told by the environment"),
    ],
)
def test_default_journal(
    monkeypatch: pytest.MonkeyPatch, uid: int, environment: dict[str, str], expected: str
) -> None:
    for name in ("EMPEROR_JOURNAL", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert default_journal() == expected
