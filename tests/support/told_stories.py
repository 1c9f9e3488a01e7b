"""Journals of one story each, and what commands say of them."""

from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner
from emperord.replay.main import cli
from journal_builder import Builder, building

Story = Callable[[Builder], None]


def said(path: str, *words: str) -> str:
    """The output of an ``emperor-replay`` command that succeeds."""
    run = CliRunner().invoke(cli, ["--journal", path, *words])
    assert run.exit_code == 0, run.output
    return run.stdout


def journal(tmp_path: Path, story: Story) -> str:
    """A journal with this story, whose daemon has stopped."""
    path = str(tmp_path / "journal.db")
    with building(path) as b:
        story(b)
        b.event("daemon_stopping", reason="SIGTERM")
        b.event("daemon_stopped")
    return path
