"""Explanations ask the user database; one that does not answer takes no thread of others."""

import threading
from types import SimpleNamespace
from typing import Any

import trio
import trio.testing
from emperord.daemon.control.caller import Caller
from emperord.daemon.control.requests import RequestHandler
from emperord.daemon.core.fleet import Vassal
from emperord.journal.events import Spec


async def test_explanations_that_hang_leave_the_threads_to_others() -> None:
    answers = threading.Event()
    vassal = Vassal("a.ini", "dir:///", Spec(ts=0), "queued", 0, 1)
    recovered = trio.Event()
    recovered.set()
    fleet = SimpleNamespace(vassals={"a.ini": vassal})
    daemon: Any = SimpleNamespace(fleet=fleet, recovers=False, can_answer=recovered)
    client: Any = SimpleNamespace(uid=0, caller=lambda: Caller(0))

    def explain(_: Vassal) -> dict[str, Any]:
        answers.wait()
        return {}

    asks = RequestHandler(daemon, lambda: None, lambda: None, explain)  # type: ignore[arg-type, return-value]
    shared = trio.to_thread.current_default_thread_limiter()
    try:
        async with trio.open_nursery() as nursery:
            for _ in range(60):
                nursery.start_soon(asks, {"do": "explain", "name": "a.ini"}, client)
            await trio.testing.wait_all_tasks_blocked()
            assert shared.borrowed_tokens == 0
            nursery.cancel_scope.cancel()  # the daemon leaves, and waits for none of them
    finally:
        answers.set()
