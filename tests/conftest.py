"""What all tests share: limits of time, and signals that the tests' processes do not ignore."""

import functools
import inspect
import signal

import hypothesis
import pytest
import trio

# How long an example takes says more of the machine than of us.
hypothesis.settings.register_profile(
    "tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tests")

# Seconds. An async test that waits for something that never comes fails at its own line.
# pytest-timeout ends every other one (pyproject.toml), with the stacks of all threads.
LIMIT = 60
SLOW_LIMIT = 280  # of a test that is marked slow

# A shell starts what follows nohup, or precedes &, with some of these ignored.
IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


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

    async def limited() -> None:
        with trio.fail_after(LIMIT):
            await functools.partial(pyfuncitem.obj, **arguments)()

    trio.run(limited)
    return True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the slow tests more time, unless they say how much."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_LIMIT))


@pytest.fixture(scope="session", autouse=True)
def heeded_signals() -> None:
    """Let no process of a test inherit that a signal is ignored.

    exec() keeps an ignored signal ignored, but sets one with a handler back to its default. So
    pytest itself still survives a SIGHUP under nohup.
    """
    for number in IGNORED:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
