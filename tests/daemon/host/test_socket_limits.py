"""Sockets that are kept: no tenant uses up the descriptors of the daemon."""

import socket
import uuid
from collections.abc import Callable

import pytest
from emperord.daemon.host import socket_limits
from emperord.daemon.host.listen_address import CannotListen
from emperord.daemon.host.listeners import from_kept
from emperord.daemon.host.opening import Listener
from emperord.daemon.keeper.link import Kept
from support.tyrant import ALICE, ALICES, BOB, BOBS, TyrantDaemon
from support.vassals import SLEEPER

MakeTyrant = Callable[..., TyrantDaemon]
A, B, C = 1, 2, 3  # users


@pytest.fixture(autouse=True)
def most(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "make_tyrant" not in request.fixturenames:
        monkeypatch.setattr(socket_limits, "most", lambda: 16)


CASES = {
    "half of all for the first user": ([A] * 7, A, True),
    "no more for it": ([A] * 8, A, False),
    "half of the rest for the second": ([A] * 8 + [B] * 3, B, True),
    "no more for that": ([A] * 8 + [B] * 4, B, False),
    "the last one for a user that has none": ([A] * 8 + [B] * 4 + [C] * 3, 4, True),
    "none is left": ([A] * 8 + [B] * 4 + [C] * 3 + [4], 5, False),
    "all where there are no users": ([None] * 15, None, True),
    "no more than all": ([None] * 16, None, False),
}


@pytest.mark.parametrize(("users", "user", "may"), CASES.values(), ids=CASES)
def test_a_user_may_have_another_one_while_it_holds_fewer_than_are_left(
    users: list[int | None], user: int | None, may: bool
) -> None:
    with socket.socket() as any_socket:
        kept = [Listener("a.ini", "@a", any_socket, None, user=each) for each in users]
    if may:
        socket_limits.check("@b", user, kept)
        return
    with pytest.raises(CannotListen, match=f"{len(users)} of 16 sockets") as caught:
        socket_limits.check("@b", user, kept)
    assert caught.value.fault == "busy"  # it is tried again


@pytest.mark.parametrize(("about", "user"), [({"user": A}, A), ({}, None)], ids=["told", "former"])
def test_a_socket_that_the_keeper_held_counts_for_its_user(
    about: dict[str, int], user: int | None
) -> None:
    """A former release told no user."""
    with socket.socket() as end:
        kept = Kept({"address": "@a", "file": None, **about}, [end.detach()])
        listener = from_kept("a.ini", kept)
        listener.socket.close()
    assert listener.user == user


def test_sockets_of_one_tenant_leave_some_for_another(make_tyrant: MakeTyrant) -> None:
    tyrant = make_tyrant()
    tyrant.before = ["prlimit", "--nofile=160:160"]  # 40 sockets
    stamp = uuid.uuid4().hex

    def put(name: str, count: int, *user: int) -> None:
        addresses = ", ".join(f"@{stamp}.{name}.{number}" for number in range(count))
        tyrant.put(name, f"{SLEEPER}listen = {addresses}\n", *user)

    put("a1.ini", 16, ALICE, ALICES)
    tyrant.start()
    tyrant.phase("a1.ini", "ready")
    put("a2.ini", 5, ALICE, ALICES)
    reason = tyrant.event("spawn_failed", "a2.ini").body["reason"]
    assert f"20 of 40 sockets that the daemon keeps are taken, 20 of them for uid {ALICE}" in reason
    put("b.ini", 8, BOB, BOBS)
    tyrant.phase("b.ini", "ready")
    tyrant.stop()
