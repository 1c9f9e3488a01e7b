"""The owner of kept sockets, as a user database tells it that may not answer."""

import threading

import pytest
import trio
from emperord.daemon.host.kept_sockets import ACCOUNTS, KeptSockets
from emperord.daemon.host.listen_address import CannotListen
from emperord.daemon.host.user_threads import NoAnswer, UserThreads
from emperord.daemon.keeper.link import KeeperLink
from emperord.journal.events import Spec
from emperord.journal.policy import Policy
from support.ports import free_port


@pytest.mark.parametrize("setting", ["user", "listen-owner"])
async def test_a_user_database_that_does_not_answer_delays_no_other_vassal(setting: str) -> None:
    threads, answers = UserThreads(patience=0.05), threading.Event()
    kept = KeptSockets(KeeperLink(None), threads, Policy, list)

    async def refused(number: int) -> None:
        settings = {"listen": f"127.0.0.1:{free_port()}", setting: "nobody"}
        with pytest.raises(CannotListen, match=r"no answer within 0\.05 s") as refusal:
            await kept.open(f"{number}.ini", Spec(ts=1, settings=settings))
        assert refusal.value.fault == "resources"  # it is tried again

    try:
        with trio.fail_after(10):
            with pytest.raises(NoAnswer):
                await threads.run(ACCOUNTS, answers.wait)
            async with trio.open_nursery() as nursery:
                for number in range(60):
                    nursery.start_soon(refused, number)
            address = f"127.0.0.1:{free_port()}"
            await kept.open("other.ini", Spec(ts=1, settings={"listen": address}))
            assert await trio.to_thread.run_sync(lambda: "a thread is free") == "a thread is free"
    finally:
        answers.set()
        kept.close()
