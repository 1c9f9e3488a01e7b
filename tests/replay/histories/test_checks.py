"""Preflights, kept sockets and health in histories that are redacted and taken in again."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from emperord.replay.main import cli
from journal_builder import Builder, building


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, words)


def preflight(b: Builder) -> None:
    """The change is refused, checked again by an operator, and a later one passes."""
    text = {"command": "serve", "preflight": "acme"}
    first = b.added("a.ini", b"one", settings=text)
    b.added("z.ini", settings={"command": "serve"})  # left out, so numbers change
    b.event("preflight_passed", "a.ini", cause=first, check=first)
    b.spawned("z.ini")
    b.spawned("a.ini")
    second = b.changed("a.ini", b"two", settings=text)
    b.event(
        "deploy_refused", "a.ini", cause=second, check=second, reason="acme", code=3, log="acme"
    )
    retry = b.operator("retry", "a.ini")
    b.event("preflight_passed", "a.ini", cause=retry, check=retry)


def kept_sockets(b: Builder) -> None:
    """New addresses cannot be had, and are opened because an operator says reload."""
    text = {"command": "serve", "listen": "127.0.0.1:8000"}
    b.added("z.ini", settings={"command": "serve"})
    b.added("a.ini", b"one", settings=text)
    b.spawned("z.ini")
    b.spawned("a.ini")
    change = b.changed("a.ini", b"two", settings={**text, "listen": "127.0.0.1:8001"})
    attempt = b.attempt("a.ini")
    b.event("listen_refused", "a.ini", cause=attempt, change=change, reason="acme")
    reload = b.operator("reload", "a.ini")
    b.event("listen_opened", "a.ini", cause=attempt, change=reload)


def health(b: Builder) -> None:
    """One is restarted, and the other noted alone."""
    text = {"command": "serve", "health": "exec:acme", "health-interval": "1s"}
    b.added("a.ini", b"one", settings=text)
    b.spawned("a.ini")
    b.added("b.ini", b"two", settings={**text, "health-action": "record", "health-failures": "2"})
    b.spawned("b.ini")
    b.of_attempt("health_lost", "b.ini", failures=2)
    b.of_attempt("health_lost", "a.ini", failures=3)


def rollback(b: Builder) -> None:
    """An operator has the vassal go back, and takes that back."""
    text = {"command": "serve"}
    first = b.added("a.ini", b"one", settings=text)
    b.spawned("a.ini")
    spec = b.fleet.vassals["a.ini"].spec
    b.changed("a.ini", b"two", settings=text)
    b.event("operator_requested", "a.ini", request="rollback", back_to=spec, deploy=first)
    b.operator("cancel_rollback", "a.ini")


STORIES = (preflight, kept_sockets, health, rollback)


@pytest.mark.parametrize("story", STORIES, ids=lambda case: case.__name__)
@pytest.mark.parametrize("options", [(), ("--redact",)], ids=["plain", "redacted"])
def test_they_decide_the_same(
    tmp_path: Path, story: Callable[[Builder], None], options: tuple[str, ...]
) -> None:
    path, file, made = (str(tmp_path / name) for name in ("a.db", "a.history", "b.db"))
    with building(path) as b:
        b.start()
        story(b)
    names = ("a.ini", "b.ini") if story is health else ("a.ini",)
    for name in names:
        found = run("--journal", path, "export", "--incident", name, *options, "-o", file)
        assert found.exit_code == 0, found.output
        assert options == () or "acme" not in Path(file).read_text()
        assert run("import", file, "-o", made).exit_code == 0
        verdict = run("--journal", made, "verify")
        assert verdict.exit_code == 0, verdict.output
        Path(file).unlink()
        Path(made).unlink()
