"""The owner of kept sockets, as a user database tells it that may not answer."""

import threading

import pytest
import trio
from emperord.daemon.host.accounts import Account, Accounts, NotAnswered
from emperord.daemon.host.kept_sockets import KeptSockets
from emperord.daemon.host.listen_address import CannotListen
from emperord.daemon.host.user_threads import UserThreads
from emperord.daemon.keeper.link import KeeperLink
from emperord.journal.events import Spec
from emperord.journal.policy import Policy
from support.ports import free_port


def listens(**settings: str) -> Spec:
    """The spec of a vassal that listens at a port of its own."""
    named = {key.replace("_", "-"): value for key, value in settings.items()}
    return Spec(ts=1, settings={"listen": f"127.0.0.1:{free_port()}", **named})


@pytest.mark.parametrize(
    ("settings", "account"),
    [
        pytest.param({"user": "nobody"}, Account("nobody"), id="user"),
        pytest.param({"listen_owner": "nobody"}, Account(None, None, "nobody"), id="listen-owner"),
    ],
)
async def test_a_user_database_that_does_not_answer_delays_no_other_vassal(
    settings: dict[str, str], account: Account
) -> None:
    accounts, answers = Accounts(patience=0.05), threading.Event()
    kept = KeptSockets(KeeperLink(None), UserThreads(), Policy, list, None, accounts)

    async def refused(number: int) -> None:
        with pytest.raises(CannotListen, match=r"no answer within 0\.05 s") as refusal:
            await kept.open(f"{number}.ini", listens(**settings))
        assert refusal.value.fault == "resources"  # it is tried again

    try:
        with trio.fail_after(10):
            with pytest.raises(NotAnswered):
                await accounts.run(account, answers.wait)
            async with trio.open_nursery() as nursery:
                for number in range(60):
                    nursery.start_soon(refused, number)
            await kept.open("other.ini", listens())
            await kept.open("daemon.ini", listens(listen_owner="daemon"))  # is looked up
            assert await trio.to_thread.run_sync(lambda: "a thread is free") == "a thread is free"
    finally:
        answers.set()
        kept.close()
