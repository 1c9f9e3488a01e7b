"""The epoll set of the host: how many descriptors one look at it reports."""

import contextlib
import errno
import os
import resource
import select

import pytest
import trio
from emperord.daemon.host import epoll
from emperord.daemon.host.epoll import Epoll
from emperord.daemon.host.spawn import raise_file_limit
from emperord.daemon.host.vassal_tasks import lasting

THOUSAND = 1000  # vassals that are stopped together


async def _reported(count: int) -> int:
    """How many of so many ready descriptors one look reports."""
    with contextlib.ExitStack() as opened:
        former = resource.getrlimit(resource.RLIMIT_NOFILE)
        opened.callback(resource.setrlimit, resource.RLIMIT_NOFILE, former)
        raise_file_limit()
        watched = Epoll()
        opened.callback(watched.close)
        for _ in range(count):
            descriptor = os.eventfd(1, os.EFD_CLOEXEC)
            opened.callback(os.close, descriptor)
            watched.register(descriptor, select.EPOLLIN)
        await watched.wait()
        return len(watched.poll())


def test_the_deaths_of_a_thousand_are_reported_at_once() -> None:
    """Each has two descriptors. Python's own limit for a look is 1,023."""
    assert trio.run(_reported, 2 * THOUSAND) == 2 * THOUSAND


async def test_an_error_about_one_that_was_refused_loses_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The task that tries again is begun again after the error."""
    monkeypatch.setattr(epoll, "_AGAIN", 0.001)
    with contextlib.ExitStack() as opened:
        watched = Epoll()
        opened.callback(watched.close)
        closed, kept = os.eventfd(1, os.EFD_CLOEXEC), os.eventfd(1, os.EFD_CLOEXEC)
        opened.callback(os.close, kept)
        for descriptor in (closed, kept):
            watched.register(descriptor, select.EPOLLIN)
            watched.put_off(descriptor, select.EPOLLIN, OSError(errno.ENOMEM, "no memory"))
        os.close(closed)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lasting, "waiting for vassals", watched.retry)
            with trio.fail_after(10):
                await watched.wait()
            nursery.cancel_scope.cancel()
        assert [descriptor for descriptor, _ in watched.poll()] == [kept]
