"""Replacements of vassals on demand: sockets of clients are kept there without ``listen``."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest
from support.daemon import Daemon
from support.on_demand import BESIDE, App

from ...conftest import MakeEmperor
from ..test_replacements import known

SETTINGS = "[emperor]\nreload = replace\nreplace-settle = {settle}\n"


@contextmanager
def clients_of(app: App) -> Iterator[list[str]]:
    """A client that asks all the time; its answers, and each failure."""
    told: list[str] = []
    over = Event()

    def ask() -> None:
        while not over.is_set():
            try:
                told.append(app.says())
            except (OSError, ValueError) as error:
                told.append(repr(error))

    thread = Thread(target=ask)
    thread.start()
    try:
        yield told
    finally:
        over.set()
        thread.join()


def put(app: App, says: str, settle: str = "200ms", **options: str) -> int:
    """Give it this answer; the number of the last event before."""
    seq, text = app.daemon.last_seq(), app.config(says, **options)
    path = app.daemon.vassals / app.name
    path.with_suffix(".new").write_text(f"{text}{SETTINGS.format(settle=settle)}")
    path.with_suffix(".new").rename(path)
    return seq


@pytest.fixture
def app(daemon: Daemon) -> App:
    made = App(daemon)
    made.listen()
    put(made, "one")
    daemon.start()
    made.wait()
    return made


def test_a_change_of_one_that_sleeps_starts_nothing(app: App) -> None:
    app.daemon.event("vassal_changed", app.name, after=put(app, "two"))
    assert app.daemon.phase(app.name, "listening").candidate is None
    assert app.running() == []
    assert app.says() == "two"
    app.daemon.stop()


def test_clients_are_served_over_changes_that_fail_too(app: App) -> None:
    daemon = app.daemon
    with clients_of(app) as told:
        daemon.phase(app.name, "accepting")
        daemon.event("exited", app.name, after=put(app, "two"), code=0)
        seq = put(app, "bad", wsgi_file=f"{daemon.folder}/nowhere.py")
        daemon.event("exited", app.name, after=seq)
        assert known(daemon, app.name).refused is not None
        count = len(told)
        daemon.until(lambda: len(told) > count + 5, "the old one serves")
    assert set(told) == {"one", "two"}
    daemon.stop()


def test_the_former_text_wakes_up_after_a_refusal(app: App) -> None:
    """The new instance ended while the old one slept."""
    daemon = app.daemon
    assert app.says() == "one"
    daemon.phase(app.name, "accepting")
    daemon.event("exited", app.name, after=put(app, "bad", wsgi_file="/nowhere.py"))
    seq = daemon.last_seq()
    os.kill(daemon.pid_of(app.name), signal.SIGKILL)
    daemon.event("exited", app.name, after=seq)
    assert app.says() == "one"
    daemon.stop()


def test_both_are_adopted(make_emperor: MakeEmperor) -> None:
    """The daemon is killed while the new one settles. The client's socket stays the same."""
    emperor = make_emperor(*BESIDE)
    app = App(emperor)
    app.listen()
    put(app, "one")
    emperor.start()
    app.wait()
    with clients_of(app) as told:
        emperor.phase(app.name, "accepting")
        emperor.event("vassal_accepting", app.name, after=put(app, "two", settle="1s"))
        emperor.restart()
        second = known(emperor, app.name).candidate
        assert second is None or second.phase in ("settling", "leaving")
        emperor.until(lambda: known(emperor, app.name).candidate is None, "it takes over")
        count = len(told)
        emperor.until(lambda: len(told) > count + 5, "the new one serves")
        assert set(told[count + 2 :]) == {"two"}
    assert set(told) == {"one", "two"}
    emperor.stop()
