"""A monitor of amqp:// with short times, and what it tells."""

from emperord.monitors.amqp.monitor import AmqpMonitor, Limits, open_url
from emperord.monitors.contract import (
    Touched,
)
from emperord.monitors.options import MonitorOptions
from support.rabbitmq import shared

from ..watching import NEVER, OFTEN, Watching

SELDOM = MonitorOptions(freq=NEVER)
BUSY = MonitorOptions(freq=OFTEN)
# The usual limit for connecting: a message of before a second try would be lost.
QUICK = Limits(fetch=0.3, pauses=(0.02, 0.1))


def monitor(options: MonitorOptions = SELDOM, port: int | None = None) -> AmqpMonitor:
    """With a queue that ends with it."""
    opened = open_url(f"127.0.0.1:{port or shared().where['port']}", options)
    return AmqpMonitor(opened.url, opened.broker, options, limits=QUICK)


def touched(watch: Watching, name: str) -> list[Touched]:
    return [each for each in watch.told if isinstance(each, Touched) and each.name == name]


async def recovered(watch: Watching, count: int = 1) -> None:
    await watch.until(lambda: watch.kinds().count("Recovered") >= count)
