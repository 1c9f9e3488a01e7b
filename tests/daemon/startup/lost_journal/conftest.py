"""Emperors whose journal is lost."""

from pathlib import Path

import pytest
from support.estranged import answered, backup
from support.kept import Emperor
from support.vassals import SLEEPER, Application, program


@pytest.fixture
def app(emperor: Emperor, tmp_path: Path) -> Application:
    """A uWSGI application and a program run; ``older.db`` was copied before the second program."""
    app = Application(tmp_path)
    (emperor.vassals / "app.ini").write_text(app.config("hello"))
    (emperor.vassals / "plain.ini").write_text(SLEEPER)
    emperor.start()
    emperor.phase("app.ini", "accepting")
    emperor.up("plain.ini")
    answered(app)
    emperor.event("vassal_loyal", "app.ini")
    backup(emperor.journal, tmp_path / "older.db")
    (emperor.vassals / "late.ini").write_text(program("sleep", "1001"))
    emperor.up("late.ini")
    return app
