"""A connection to PostgreSQL whose bytes go through a relay, and that ends without delay."""

from collections.abc import Generator
from typing import Any, Final

import psycopg
from psycopg.waiting import Wait

from .relay import Relay

MOST_UNASKED: Final = 256 << 10  # bytes that bring no notification, while we do not read
_FAREWELL: Final = 1.0  # seconds for asking a server to end a query that we wait for no longer


class PgConnection(psycopg.AsyncConnection[Any]):
    """A connection that ends within a second, whatever the server does."""

    relay: Relay

    @classmethod
    def _connect_gen(
        cls, *args: Any, **named: Any
    ) -> Generator[tuple[int, Wait], Any, "PgConnection"]:
        relay = Relay(MOST_UNASKED)
        try:
            link = yield from relay.through(super()._connect_gen(*args, **named))
        except BaseException:
            relay.give_up()
            raise
        link.relay = relay
        return link

    async def close(self) -> None:
        """Hang up."""
        await super().close()
        await self.relay.close()

    async def cancel_safe(self, *, timeout: float = _FAREWELL) -> None:  # noqa: ASYNC109
        """Ask the server to end a query; hang up if it does not take even that."""
        try:
            await super().cancel_safe(timeout=min(timeout, _FAREWELL))
        except psycopg.Error:
            self.pgconn.finish()
