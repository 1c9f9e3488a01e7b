"""pg:// keeps one session, which NOTIFY wakes; the server ends slow queries."""

from typing import Any

import pytest
import trio
from emperord.monitors.postgres.monitor import (
    open_url,
)
from support.postgres import PostgresSource, conninfo_of, shared, talking

from ..watching import SLOW, failure_of, listing_of, taking_turns, watching
from .readings import BUSY, SELDOM, asking, hurried

# The connection


def sessions(schema: str) -> list[tuple[Any, ...]]:
    with talking(conninfo_of(shared())) as link:
        return link.execute(
            "SELECT pid, state, query FROM pg_stat_activity"
            " WHERE application_name = %s AND datname = 'emperor'",
            (schema,),
        ).fetchall()


async def test_one_connection_is_kept(source: PostgresSource) -> None:
    conninfo = f"{source.conninfo} application_name={source.schema}"
    async with watching(open_url(conninfo, BUSY)) as watch:
        pids = set()
        for _ in range(20):
            await watch.listings(1)
            ((pid, _, _),) = sessions(source.schema)
            pids.add(pid)
        assert len(pids) == 1
    await gone(source.schema)


async def gone(schema: str) -> None:
    """Return when the server has no session of this name."""
    while await trio.to_thread.run_sync(sessions, schema):
        await trio.lowlevel.checkpoint()


async def test_the_session_is_what_the_page_says(source: PostgresSource) -> None:
    query = "SELECT name || '.ini', setting, 1 FROM pg_settings WHERE name IN ("
    query += "'application_name', 'default_transaction_read_only', 'statement_timeout')"
    told = await listing_of(asking(source, query))
    assert {name: seen.content for name, seen in told.seen.items()} == {
        "application_name.ini": b"emperord",
        "default_transaction_read_only.ini": b"on",
        "statement_timeout.ini": b"9000",
    }


@pytest.mark.few(1)
@pytest.mark.usefixtures("way")
async def test_configs_that_are_slow_to_read_are_read_at_last_and_hold_up_nobody(
    source: PostgresSource,
) -> None:
    query = f"SELECT n || '.yml', '{SLOW}', n FROM generate_series(1, 10) AS n"
    monitor = hurried(source.conninfo, query, limit=0.5)
    async with taking_turns() as turns, watching(monitor) as watch:
        await watch.until(lambda: len(watch.seen) == 10)
        assert set(watch.contents) == set(watch.seen)
    assert turns.longest < turns.all / 2


async def test_a_slow_query_is_ended_by_the_server(source: PostgresSource) -> None:
    conninfo = f"{source.conninfo} application_name={source.schema}"
    # The server ends it half a second earlier than the monitor would give it up.
    reason = await failure_of(hurried(conninfo, "SELECT 'a.ini', 'c', pg_sleep(100)", limit=5))
    assert reason == "canceling statement due to statement timeout"
    await gone(source.schema)


@pytest.mark.usefixtures("way")
async def test_a_query_that_nobody_waits_for_is_cancelled(source: PostgresSource) -> None:
    conninfo = f"{source.conninfo} application_name={source.schema}"
    monitor = hurried(conninfo, "SELECT 'a.ini', 'c', pg_sleep(100)", limit=60)
    async with watching(monitor, listed=False):
        while not any("pg_sleep" in query for _, _, query in sessions(source.schema)):
            await trio.lowlevel.checkpoint()
    await gone(source.schema)


async def test_notify_wakes(source: PostgresSource) -> None:
    async with watching(source.monitor(SELDOM)) as watch:
        told = len(watch.told)
        source.execute("NOTIFY emperor")
        await watch.until(lambda: len(watch.told) > told)


async def test_a_change_while_it_reads_is_not_missed(source: PostgresSource) -> None:
    source.put("a.ini", "one")
    query = "SELECT name, config, ts FROM vassals, (SELECT pg_advisory_xact_lock_shared(1)) AS held"
    with talking(conninfo_of(shared())) as link:
        link.execute("SELECT pg_advisory_lock(1)")
        async with watching(asking(source, query), listed=False) as watch:
            waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            while link.execute(waiting).fetchone() is None:
                await trio.lowlevel.checkpoint()
            source.put("a.ini", "two")  # the reading has begun, so it does not see this
            link.execute("SELECT pg_advisory_unlock(1)")
            await watch.shows("a.ini", "one")
            await watch.shows("a.ini", "two")
