"""One reading of the source, and what it was not able to read."""

from emperord.monitors.options import MonitorOptions
from emperord.monitors.postgres.monitor import Postgres, open_url
from emperord.monitors.postgres.url import parse
from support.postgres import PostgresSource

from ..watching import NEVER, OFTEN

SELDOM = MonitorOptions(freq=NEVER)
BUSY = MonitorOptions(freq=OFTEN)


def asking(source: PostgresSource, query: str, options: MonitorOptions = SELDOM) -> Postgres:
    return open_url(f"{source.conninfo};{query}", options)


def hurried(
    conninfo: str, query: str, options: MonitorOptions = BUSY, limit: float = 1
) -> Postgres:
    return Postgres(parse(conninfo), query, options, limit=limit)
