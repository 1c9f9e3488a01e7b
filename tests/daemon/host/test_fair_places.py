"""Places that users share: jobs that never end take no other user's last place."""

from collections.abc import Awaitable, Callable

import pytest
import trio
from emperord.daemon.host.fair_places import FairPlaces
from trio.testing import wait_all_tasks_blocked


class Jobs:
    """Jobs that hold a place until they are told to end."""

    def __init__(self, nursery: trio.Nursery, all_users: int = 16, one_user: int = 4) -> None:
        self._nursery = nursery
        self._places = FairPlaces(all_users, one_user)
        self.running: list[str | None] = []  # in the order of their starts

    async def begin(self, *users: str | None) -> list[trio.CancelScope]:
        """Begin a job for each; the scopes that end them."""
        scopes = [trio.CancelScope() for _ in users]
        for user, scope in zip(users, scopes, strict=True):
            self._nursery.start_soon(self._run, user, scope)
            await wait_all_tasks_blocked()  # so that they come in this order
        return scopes

    async def end(self, *scopes: trio.CancelScope) -> None:
        for scope in scopes:
            scope.cancel()
        await wait_all_tasks_blocked()

    async def _run(self, user: str | None, scope: trio.CancelScope) -> None:
        with scope:
            async with self._places.place(user):
                self.running.append(user)
                await trio.sleep_forever()


def in_trio(test: Callable[[Jobs], Awaitable[None]]) -> None:
    async def run() -> None:
        async with trio.open_nursery() as nursery:
            await test(Jobs(nursery))
            nursery.cancel_scope.cancel()

    trio.run(run)


CASES = {
    "one user has its share": ("a" * 9, {"a": 4}),
    "another one has its own": ("a" * 9 + "b" * 9, {"a": 4, "b": 4}),
    "four users leave one place": ("".join(user * 9 for user in "abcd") + "e", {"d": 2, "e": 1}),
    "the last place is for one that has none": (
        "".join(user * 9 for user in "abcdef"),
        {"d": 2, "e": 1, "f": 1},
    ),
}


@pytest.mark.parametrize(("users", "counts"), CASES.values(), ids=CASES)
def test_jobs_that_hang_leave_places_for_other_users(users: str, counts: dict[str, int]) -> None:
    async def test(jobs: Jobs) -> None:
        await jobs.begin(*users)
        assert {user: jobs.running.count(user) for user in counts} == counts

    in_trio(test)


def test_the_daemons_own_user_is_a_user() -> None:
    """Outside of tyrant mode a vassal has no uid."""

    async def test(jobs: Jobs) -> None:
        await jobs.begin(None, "a", *[None] * 9)
        assert jobs.running == [None, "a", None, None, None]

    in_trio(test)


def test_users_that_wait_take_turns() -> None:
    async def test(jobs: Jobs) -> None:
        first = await jobs.begin(*"aaaabbbbccccddef")  # no place is left
        before = len(jobs.running)
        await jobs.begin(*"gghh")
        assert len(jobs.running) == before
        for scope in first[:4]:  # one by one: tasks that run at once have no order
            await jobs.end(scope)
        assert jobs.running[before:] == ["g", "h", "g"]

    in_trio(test)


def test_a_job_that_is_given_up_leaves_its_line_and_its_place() -> None:
    async def test(jobs: Jobs) -> None:
        *_, last, waits = await jobs.begin(*"aaaaa")
        await jobs.end(waits)
        assert jobs.running == list("aaaa")
        await jobs.end(last)
        assert jobs.running == list("aaaa")
        await jobs.begin("a")
        assert jobs.running == list("aaaaa")

    in_trio(test)
