"""The contract of all monitors, whatever the source. Later ones are added to SOURCES or TELLING."""

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio
from emperord.monitors.contract import Failed, Listing, Observation
from emperord.monitors.options import MonitorOptions
from support.descriptors import descriptors

from .sources import DirSource, GlobSource, Source
from .watching import NEVER, OFTEN, Watching, watching


def of_server(module: str, kind: str) -> Callable[[Path], Source]:
    """A source that is imported when it is wanted: tools/test fast has no python-ldap."""

    def make(folder: Path) -> Source:
        made: Source = getattr(importlib.import_module(f"support.{module}"), kind)(folder)
        return made

    return make


SOURCES: dict[str, Callable[[Path], Source]] = {
    "dir": DirSource,
    "glob": GlobSource,
    "ldap": of_server("ldap", "LdapSource"),
    "ldap-plain": of_server("ldap", "PlainLdapSource"),
    "pg": of_server("postgres", "PostgresSource"),
    "mongodb": of_server("mongodb", "MongoSource"),
    "zoo": of_server("zookeeper", "ZooSource"),
}
# These tell of one vassal at a time. They make no listing, and have tests of their own for outages.
TELLING: dict[str, Callable[[Path], Source]] = {
    "amqp": of_server("rabbitmq", "AmqpSource"),
    "zmq": of_server("pushing", "ZmqSource"),
}
THREAD = "-thread"  # the client runs in a thread of its own, as it does on the newest Pythons
SOURCES |= {name + THREAD: SOURCES[name] for name in ("pg", "mongodb")}
TELLING |= {"amqp" + THREAD: TELLING["amqp"]}
of_all = pytest.mark.parametrize("source", [*SOURCES, *TELLING], indirect=True)
SELDOM = MonitorOptions(freq=NEVER)
BUSY = MonitorOptions(freq=OFTEN)


@pytest.fixture(params=SOURCES)
def source(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Source]:
    if request.param.endswith(THREAD):
        monkeypatch.setenv("EMPEROR_ASYNCIO", "thread")
    made = (SOURCES | TELLING)[request.param](tmp_path)
    yield made
    getattr(made, "close", lambda: None)()


async def test_first_it_lists_all_there_is(source: Source) -> None:
    source.put("a.ini", "one")
    source.put("b.yml", "two")
    async with watching(source.monitor(SELDOM)) as watch:
        assert watch.kinds() == ["Listing"]
        assert watch.contents == {source.name("a.ini"): b"one", source.name("b.yml"): b"two"}


async def test_an_empty_source_is_no_failure(source: Source) -> None:
    async with watching(source.monitor(SELDOM)) as watch:
        assert watch.told == [Listing({})]


@of_all
async def test_what_is_added_is_told(source: Source) -> None:
    async with watching(source.monitor(SELDOM)) as watch:
        source.put("a.ini", "one")
        await watch.shows(source.name("a.ini"), "one")
        assert watch.contents[source.name("a.ini")] == b"one"


@of_all
async def test_what_is_changed_is_told(source: Source) -> None:
    source.put("a.ini", "one")
    async with watching(source.monitor(SELDOM)) as watch:
        source.put("a.ini", "two")
        await watch.shows(source.name("a.ini"), "two")
        assert watch.contents[source.name("a.ini")] == b"two"


@of_all
async def test_what_is_removed_is_told(source: Source) -> None:
    source.put("a.ini", "one")
    source.put("b.ini", "two")
    async with watching(source.monitor(SELDOM)) as watch:
        await watch.until(lambda: len(watch.seen) == 2)
        source.remove("a.ini")
        await watch.until(lambda: source.name("a.ini") not in watch.seen)
        assert list(watch.seen) == [source.name("b.ini")]


# One that has to poll never rests.
@pytest.mark.parametrize("source", sorted(SOURCES.keys() - {"ldap-plain"}), indirect=True)
async def test_it_rests_when_nothing_happens(source: Source) -> None:
    source.put("a.ini", "one")
    async with watching(source.monitor(SELDOM)) as watch:
        source.put("a.ini", "two")
        await watch.shows(source.name("a.ini"), "two")
        await watch.rest()


async def test_a_repetition_costs_nothing(source: Source) -> None:
    source.put("a.ini", "one")
    async with watching(source.monitor(BUSY)) as watch:
        first = watch.seen[source.name("a.ini")]
        for listing in await watch.listings(3):
            again = listing.seen[source.name("a.ini")]
            assert again.spec is first.spec
            assert again.content is None


async def test_a_failure_concludes_nothing_and_ends(source: Source) -> None:
    source.put("a.ini", "one")
    async with watching(source.monitor(BUSY)) as watch:
        source.fail()
        await watch.until(lambda: len(watch.failures()) > 1)
        assert list(watch.seen) == [source.name("a.ini")]
        start = len(watch.told)
        source.mend()
        await watch.until(lambda: isinstance(watch.told[-1], Listing))
        assert list(watch.seen) == [source.name("a.ini")]
        assert {type(each) for each in watch.told[start:]} <= {Failed, Listing}
        source.put("a.ini", "two")
        await watch.shows(source.name("a.ini"), "two")


async def test_a_source_that_is_away_at_first_is_waited_for(source: Source) -> None:
    source.put("a.ini", "one")
    source.fail()
    async with watching(source.monitor(BUSY)) as watch:
        assert watch.failures()
        source.mend()
        await watch.shows(source.name("a.ini"), "one")


@of_all
async def test_nothing_is_told_while_the_last_is_not_durable(source: Source) -> None:
    entered, gate = trio.Event(), trio.Event()
    watch = Watching()
    inside = 0

    async def tell(*observations: Observation) -> None:
        nonlocal inside
        assert inside == 0
        inside += 1
        entered.set()
        await gate.wait()
        await watch.tell(*observations)
        inside -= 1

    source.put("a.ini", "one")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(source.monitor(BUSY).run, tell, {})
        await entered.wait()
        assert inside == 1
        source.put("a.ini", "two")
        gate.set()
        await watch.shows(source.name("a.ini"), "two")
        nursery.cancel_scope.cancel()


@of_all
async def test_an_error_of_the_journal_gets_out(source: Source) -> None:
    async def tell(*observations: Observation) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await source.monitor(SELDOM).run(tell, {})


async def test_it_can_be_cancelled_and_run_again(source: Source) -> None:
    source.put("a.ini", "one")
    monitor = source.monitor(SELDOM)
    async with watching(monitor):
        pass
    before = descriptors()
    for _ in range(3):
        async with watching(monitor) as watch:
            # A new run knows nothing of the one before: it gives all contents again.
            assert watch.contents == {source.name("a.ini"): b"one"}
    assert descriptors() <= before


@of_all
async def test_it_can_be_cancelled_at_once(source: Source) -> None:
    for _ in range(20):
        async with watching(source.monitor(SELDOM), listed=False):
            pass
