"""Hooks of all tests: limits of time, and signals that the tests' processes do not ignore."""

import functools
import gc
import inspect
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import trio
from hypothesis.internal.conjecture import engine
from support import schedule
from support.effort import EFFORT
from support.ports import free_port

# How long an example takes says more of the machine than of us.
hypothesis.settings.register_profile(
    "tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tests")
# Seconds in which a failing example is made smaller. With the 300 of Hypothesis a test outlives its
# limit, which Hypothesis takes for one more failure. The process would exit, and end the run.
engine.MAX_SHRINKING_SECONDS = 30

# Seconds. An async test that waits for something that never comes fails at its own line.
# pytest-timeout ends every other one (pyproject.toml), with the stacks of all threads.
LIMIT = 60
SLOW_ASYNC_LIMIT = 180  # of an async test that is marked slow: a server may start in between
SLOW_LIMIT = 280  # of a test that is marked slow, or search; more where EFFORT is over 1

# A shell starts what follows nohup, or precedes &, with some of these ignored.
IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


def pytest_configure(config: pytest.Config) -> None:
    """Have times without an offset in UTC, here and in the processes that tests start.

    A process that collects the tests does so without a collector of garbage: it keeps all of them.
    """
    os.environ["TZ"] = "UTC"
    time.tzset()
    if config.getoption("dist", "no") == "no":  # else this one hands them out
        gc.disable()


def pytest_collection_finish() -> None:
    """Collect garbage again, but never look at the tests: they are most of all objects."""
    gc.freeze()
    gc.enable()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite", action="store_true", help="write what golden tests print as their expectation"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}

    limit = SLOW_ASYNC_LIMIT if pyfuncitem.get_closest_marker("slow") else LIMIT

    async def limited() -> None:
        with trio.fail_after(limit):
            await functools.partial(pyfuncitem.obj, **arguments)()

    trio.run(limited)
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark as slow what ``few`` leaves over, give slow tests more time, and order what is shared.

    The processes of one run all come to the same order.
    """
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: schedule.turn_of(item.nodeid))
    tables: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("few"):
            tables.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for rows in tables.values():
        leave_few(rows)
    for item in items:
        searches = item.get_closest_marker("search")
        is_slow = searches or item.get_closest_marker("slow")
        if is_slow and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_LIMIT * max(1, EFFORT if searches else 1)))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep together the tests of one server."""
    return schedule.ByServer(config, log)


def leave_few(rows: list[pytest.Item]) -> None:
    """Mark the rows of a table as slow but so many, spread over it, or those of these names."""
    marker = rows[0].get_closest_marker("few")
    assert marker is not None
    names = {row.nodeid.partition("[")[2].rstrip("]"): row for row in rows}
    if isinstance(marker.args[0], int):
        step = max(1, len(rows) // marker.args[0])
        kept = list(names)[::step][: marker.args[0]]
    else:
        kept = list(marker.args)
        if len(rows) > len(kept) and not names.keys() >= set(kept):
            raise pytest.UsageError(f"{rows[0].nodeid}: few: no row {set(kept) - names.keys()}")
    for name, row in names.items():
        if name not in kept:
            row.add_marker(pytest.mark.slow)


@pytest.fixture
def uncollected() -> Iterator[None]:
    """A connection that only the garbage collector closes was left behind."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def ports_of_our_own() -> None:
    """The socket that holds them is open before a test counts descriptors."""
    free_port()


@pytest.fixture(scope="session", autouse=True)
def heeded_signals() -> None:
    """Let no process of a test inherit that a signal is ignored.

    exec() keeps an ignored signal ignored, but sets one with a handler back to its default. So
    pytest itself still survives a SIGHUP under nohup.
    """
    for number in IGNORED:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
