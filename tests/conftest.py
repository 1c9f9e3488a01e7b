"""What all tests share: async tests run under trio, each with a time limit."""

import functools
import inspect

import hypothesis
import pytest
import trio

# How long an example takes says more of the machine than of us.
hypothesis.settings.register_profile(
    "tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tests")

LIMIT = 60  # seconds; a test that waits for something that never comes fails, it does not hang


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
