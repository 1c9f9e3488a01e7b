"""Lookups of names that configs name: one that hangs costs its own user alone."""

from functools import partial

import pytest
import trio
from emperord.daemon.host.lookups import Lookups, look_up
from emperord.daemon.host.readiness import answers
from emperord.journal.policy import Policy
from emperord.monitors import readiness


def test_a_users_lookups_take_no_place_of_others() -> None:
    """Alice's places are taken, and all threads that all users share."""

    async def main() -> tuple[bool, bool, bool]:
        lookups = Lookups()
        shared = trio.to_thread.current_default_thread_limiter()
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        named = readiness.parsed(f"tcp://localhost:{port}")
        numeric = readiness.parsed(f"tcp://127.0.0.1:{port}")
        assert named is not None
        assert numeric is not None
        for limiter in (lookups.of(61_001), shared):
            for number in range(int(limiter.total_tokens)):
                limiter.acquire_on_behalf_of_nowait(number)
        ask = partial(answers, policy=Policy, seconds=10.0)
        async with listeners[0]:
            bobs = await ask(named, limiter=lookups.of(61_002))
            alices_number = await ask(numeric, limiter=lookups.of(61_001))
            with trio.move_on_after(1.0):
                return bobs, alices_number, await ask(named, limiter=lookups.of(61_001))
            return bobs, alices_number, False

    assert trio.run(main) == (True, True, False)


NO_NAMES = {
    "an empty label": "a..b",
    "a long label": "a" * 80,
    "a dot": ".",
    "a bad code": "xn--a.",
}


@pytest.mark.parametrize("name", NO_NAMES.values(), ids=NO_NAMES)
def test_a_name_that_is_none_is_not_found(name: str) -> None:
    """It is no error of the daemon: the codec for international names raises no OSError."""
    with pytest.raises(OSError, match=r"."):
        trio.run(look_up, name, 80, trio.CapacityLimiter(1))
