"""Addresses of a change that are given back before they are open: nothing keeps them then."""

from contextlib import suppress

import pytest
import trio
from emperord.daemon.host.kept_sockets import KeptSockets
from emperord.daemon.host.listen_address import CannotListen
from emperord.daemon.host.user_threads import UserThreads
from emperord.daemon.keeper.link import KeeperLink
from emperord.journal.events import Spec
from emperord.journal.policy import Policy
from support.ports import free_port


@pytest.mark.parametrize("turns", range(6))
async def test_a_removal_meets_an_opening(turns: int) -> None:
    """The vassal is removed after so many turns of the loop; no later order would close them."""
    kept = KeptSockets(KeeperLink(None), UserThreads(), Policy, list)
    spec = Spec(ts=1, settings={"listen": f"127.0.0.1:{free_port()}, 127.0.0.1:{free_port()}"})
    given_back = kept.given_back("a.ini")  # as it is ordered

    async def opens() -> None:
        # After some turns they may be open already.
        with (
            pytest.raises(CannotListen, match="given back") if turns < 2 else suppress(CannotListen)
        ):
            await kept.open("a.ini", spec, given_back=given_back)

    async with trio.open_nursery() as nursery:
        if not turns:
            kept.give_back("a.ini")  # the task has not begun
        nursery.start_soon(opens)
        for _ in range(turns):
            await trio.lowlevel.checkpoint()
        if turns:
            kept.give_back("a.ini")
    assert kept.all() == []


async def test_it_is_told() -> None:
    kept = KeptSockets(KeeperLink(None), UserThreads(), Policy, list)
    spec = Spec(ts=1, settings={"listen": f"127.0.0.1:{free_port()}"})
    given_back = kept.given_back("a.ini")
    kept.give_back("a.ini")
    with pytest.raises(CannotListen, match="was given back meanwhile"):
        await kept.open("a.ini", spec, given_back=given_back)


async def test_the_next_change_opens_them() -> None:
    kept = KeptSockets(KeeperLink(None), UserThreads(), Policy, list)
    spec = Spec(ts=1, settings={"listen": f"127.0.0.1:{free_port()}"})
    kept.give_back("a.ini")
    await kept.open("a.ini", spec, given_back=kept.given_back("a.ini"))
    (listener,) = kept.all()
    kept.close()
    assert listener.address == spec.settings["listen"]
