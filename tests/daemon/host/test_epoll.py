"""The epoll set of the host: how many descriptors one look at it reports."""

import contextlib
import os
import resource
import select

import trio
from emperord.daemon.host.epoll import Epoll
from emperord.daemon.host.spawn import raise_file_limit

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
