"""Places at the control socket: idle clients go first, and no user has all."""

import socket
from collections.abc import Awaitable, Callable
from contextlib import ExitStack

import pytest
import trio
import trio.testing
from emperord.daemon.control.connection_limits import MOST, MOST_QUEUED, SHARE, ClientLimits
from support.kept import Emperor
from support.vassals import SLEEPER


class LimitedClient:
    """A client; busy unless it is told to be idle."""

    def __init__(self, uid: int, idle_since: float | None = None) -> None:
        self.uid = uid
        self.idle_since = idle_since
        self.hung_up = False

    def hang_up(self) -> None:
        self.hung_up = True


class Moving(trio.abc.Clock):
    """A clock that moves on with each look at it."""

    def __init__(self) -> None:
        self.now = 0.0

    def start_clock(self) -> None:
        pass

    def current_time(self) -> float:
        self.now += 0.001
        return self.now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        return 0.0


def under_trio(main: Callable[[], Awaitable[None]], clock: trio.abc.Clock | None = None) -> None:
    trio.run(main, clock=clock or trio.testing.MockClock(autojump_threshold=0))


async def placed(places: ClientLimits, *guests: LimitedClient) -> None:
    for guest in guests:
        with trio.fail_after(10):
            assert await places.take(guest)


async def crowded(*guests: LimitedClient) -> ClientLimits:
    """Places of which one user has its share: these clients and busy ones, for ten seconds."""
    places = ClientLimits()
    await placed(places, *guests, *(LimitedClient(1) for _ in range(SHARE - len(guests))))
    await trio.sleep(10)
    return places


async def stands(places: ClientLimits, guest: LimitedClient) -> bool:
    """Whether it finds no place within a minute."""
    with trio.move_on_after(60):
        await places.take(guest)
        return False
    return True


def test_a_user_that_keeps_its_places_busy_leaves_some_to_others() -> None:
    async def main() -> None:
        places = ClientLimits()
        await placed(places, *(LimitedClient(1) for _ in range(SHARE)))
        assert await stands(places, LimitedClient(1))
        await placed(places, *(LimitedClient(2) for _ in range(MOST - SHARE)))
        assert await stands(places, LimitedClient(3))

    under_trio(main)


def test_the_one_that_is_idle_for_longest_goes_for_a_new_one() -> None:
    async def main() -> None:
        places = ClientLimits()
        await trio.sleep(10)
        idle = [LimitedClient(1, float(since)) for since in (5, 3, 4)]
        await placed(places, *idle, *(LimitedClient(1) for _ in range(SHARE - 3)))
        await placed(places, LimitedClient(1))
        assert [guest.hung_up for guest in idle] == [False, True, False]
        await placed(places, LimitedClient(1))
        assert [guest.hung_up for guest in idle] == [False, True, True]

    under_trio(main)


def test_idle_ones_of_the_user_that_has_most_go_first() -> None:
    async def main() -> None:
        places = ClientLimits()
        await trio.sleep(10)
        few = [LimitedClient(2, 0.0) for _ in range(MOST - SHARE)]
        many = [LimitedClient(1, 5.0) for _ in range(SHARE)]
        await placed(places, *few, *many)
        await placed(places, LimitedClient(3))
        assert sum(guest.hung_up for guest in many) == 1
        assert not any(guest.hung_up for guest in few)

    under_trio(main)


def test_others_are_not_hung_up_on_for_one_that_has_its_share() -> None:
    async def main() -> None:
        places = ClientLimits()
        await trio.sleep(10)
        other = LimitedClient(2, 0.0)
        await placed(places, other, *(LimitedClient(1) for _ in range(SHARE)))
        assert await stands(places, LimitedClient(1))
        assert not other.hung_up

    under_trio(main)


def test_a_client_that_has_just_come_may_ask_first() -> None:
    async def main() -> None:
        places = ClientLimits()
        fresh = LimitedClient(1, trio.current_time())
        await placed(places, fresh, *(LimitedClient(1) for _ in range(SHARE - 1)))
        began = trio.current_time()
        await placed(places, LimitedClient(1))
        assert fresh.hung_up
        assert trio.current_time() - began >= 0.5

    under_trio(main)


@pytest.mark.parametrize("turns", [0, 1])
def test_a_client_that_has_asked_of_a_late_daemon_is_answered(turns: int) -> None:
    """Its request is read in the turn in which the daemon learns of it, or in the next one.

    The order of tasks within a turn is random, so there are many rounds.
    """

    async def main() -> None:
        late = LimitedClient(1, trio.current_time())
        places = await crowded(late)

        async def read() -> None:
            for _ in range(turns):
                await trio.lowlevel.checkpoint()
            late.idle_since = None

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            assert await stands(places, LimitedClient(1))
        assert not late.hung_up

    for _ in range(20):
        under_trio(main)


def test_a_client_that_was_answered_during_the_look_is_fresh_again() -> None:
    async def main() -> None:
        late = LimitedClient(1, trio.current_time())
        places = await crowded(late)
        began = trio.current_time()

        async def answer() -> None:
            late.idle_since = trio.current_time()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            await placed(places, LimitedClient(1))
        assert trio.current_time() - began >= 0.5

    under_trio(main)


@pytest.mark.parametrize("who", ["the idle one", "another"])
def test_a_place_that_is_left_during_the_look_is_taken(who: str) -> None:
    async def main() -> None:
        idle = [LimitedClient(1, trio.current_time()) for _ in range(2)]
        busy = LimitedClient(1)
        places = await crowded(*idle, busy)

        async def leave() -> None:
            places.leave(busy if who == "another" else idle[0])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(leave)
            await placed(places, LimitedClient(1))
        assert not any(guest.hung_up for guest in idle)

    under_trio(main)


def test_users_that_have_few_places_keep_them_in_a_burst() -> None:
    """One of its clients makes room until the other user has its share."""

    async def main() -> None:
        places = ClientLimits()
        few = [LimitedClient(1, trio.current_time()) for _ in range(MOST - SHARE + 1)]
        await placed(places, *few, *(LimitedClient(2) for _ in range(SHARE - 1)))
        await trio.sleep(10)
        with trio.move_on_after(60):
            async with trio.open_nursery() as nursery:
                for _ in range(len(few)):
                    nursery.start_soon(places.take, LimitedClient(2))
        assert sum(guest.hung_up for guest in few) == 1

    under_trio(main)


def test_one_that_waits_is_woken_when_a_look_is_given_up() -> None:
    async def main() -> None:
        idle = LimitedClient(1, trio.current_time())
        places = await crowded(idle)
        look = trio.CancelScope()

        async def give_up() -> None:
            with look:
                await places.take(LimitedClient(1))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(give_up)
            await trio.lowlevel.checkpoint()
            nursery.start_soon(placed, places, LimitedClient(1))  # it finds no other idle one
            await trio.lowlevel.checkpoint()
            look.cancel()
        assert idle.hung_up

    under_trio(main)


@pytest.mark.parametrize("age", [each / 1000 for each in range(490, 501)])
def test_a_client_that_ceases_to_be_fresh_in_the_midst_of_a_look(age: float) -> None:
    """The rest of its time is no less than nothing: trio takes no such wait."""

    async def main() -> None:
        places = ClientLimits()
        idle = LimitedClient(1)
        await placed(places, idle, *(LimitedClient(1) for _ in range(SHARE - 1)))
        idle.idle_since = trio.current_time() - age
        await placed(places, LimitedClient(1))
        assert idle.hung_up

    under_trio(main, Moving())


def test_those_that_come_at_once_do_not_wait_for_each_other() -> None:
    async def main() -> None:
        idle = [LimitedClient(1, trio.current_time()) for _ in range(SHARE)]
        places = await crowded(*idle)
        async with trio.open_nursery() as nursery:
            for _ in range(SHARE):
                nursery.start_soon(places.take, LimitedClient(1))
            for _ in range(6):
                await trio.lowlevel.checkpoint()
            assert all(guest.hung_up for guest in idle)

    under_trio(main)


def test_a_place_that_a_client_did_not_wait_for_goes_to_the_next_one() -> None:
    async def main() -> None:
        idle = LimitedClient(1, trio.current_time())
        places = await crowded(idle)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(places.take, LimitedClient(1))
            await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        assert not idle.hung_up
        await placed(places, LimitedClient(1))
        assert idle.hung_up

    under_trio(main)


@pytest.mark.parametrize("how", ["left", "idle"])
def test_who_waits_gets_the_next_place(how: str) -> None:
    async def main() -> None:
        places = ClientLimits()
        first = LimitedClient(1)
        await placed(places, first, *(LimitedClient(1) for _ in range(SHARE - 1)))

        async def end() -> None:
            await trio.sleep(5)
            if how == "left":
                places.leave(first)
            else:
                first.idle_since = trio.current_time()
                places.changed()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(end)
            await placed(places, LimitedClient(1))

    under_trio(main)


def test_too_many_that_wait_are_refused_and_no_other_user_is() -> None:
    async def main() -> None:
        places = ClientLimits()
        await placed(places, *(LimitedClient(1) for _ in range(SHARE)))
        async with trio.open_nursery() as nursery:
            for _ in range(MOST_QUEUED):
                nursery.start_soon(places.take, LimitedClient(1))
            await trio.testing.wait_all_tasks_blocked()
            assert not await places.take(LimitedClient(1))
            await placed(places, LimitedClient(2))
            nursery.cancel_scope.cancel()

    under_trio(main)


@pytest.mark.parametrize("drip", [b"", b"{"], ids=["silent", "part of a request"])
def test_idle_connections_do_not_shut_the_operator_out(emperor: Emperor, drip: bytes) -> None:
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("a.ini")
    with ExitStack() as idle:
        for _ in range(100):
            client = idle.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(str(emperor.control))
            client.sendall(drip)
        done = emperor.ctl("status", timeout=20)
        assert done.returncode == 0, done
        assert emperor.ctl("reload", "a.ini", timeout=20).returncode == 0
    emperor.stop()
