"""Where things are when the operator does not say."""

import os
from pathlib import Path

import pytest
from emperord.journal.places import SYSTEM, default_config, default_journal, default_logs


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
        pytest.param(0, {"STATE_DIRECTORY": "/u"}, "/u/journal.db", id="the unit's"),
        pytest.param(
            1000,
            {"STATE_DIRECTORY": "/u:/v", "XDG_STATE_HOME": "/s"},
            "/u/journal.db",
            id="the first of the unit's",
        ),
        pytest.param(
            0,
            {"STATE_DIRECTORY": "/u", "EMPEROR_JOURNAL": "/x.db"},
            "/x.db",
            id="told, in a unit",
        ),
        pytest.param(0, {"STATE_DIRECTORY": ""}, SYSTEM, id="an empty one"),
        pytest.param(0, {"STATE_DIRECTORY": "u"}, SYSTEM, id="a relative one"),
    ],
)
def test_default_journal(
    monkeypatch: pytest.MonkeyPatch, uid: int, environment: dict[str, str], expected: str
) -> None:
    for name in ("EMPEROR_JOURNAL", "XDG_STATE_HOME", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert default_journal() == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param("", "{folder}/my.db.logs", id="beside the journal"),
        pytest.param("/var/log/e", "/var/log/e/my.db.logs", id="the unit's"),
        pytest.param("/var/log/e:/var/log/f", "/var/log/e/my.db.logs", id="the first of them"),
    ],
)
def test_default_logs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str, expected: str
) -> None:
    monkeypatch.setenv("LOGS_DIRECTORY", given)
    (tmp_path / "logs").mkdir()  # another program's
    assert default_logs(str(tmp_path / "my.db")) == expected.format(folder=tmp_path)


def test_default_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CONFIGURATION_DIRECTORY", raising=False)
    assert default_config() is None
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", f"{tmp_path}:/etc")
    assert default_config() is None
    (tmp_path / "emperor.yml").touch()
    assert default_config() == str(tmp_path / "emperor.yml")
