"""How much pymongo takes from a MongoDB at a time.

pymongo allocates the length that a message claims. The server itself sets the limit for that in its
greeting, and pymongo has no option for another. So its protocol's class is replaced here, for all
clients of this process, by one that heeds our limits, too:

- a message has at most ``MOST_MESSAGE`` bytes. We ask for batches that fit;
- an answer to ``hello`` has at most ``MOST_HELLO``. It names the members of a replica set, 50 at
  most, and pymongo connects to each of them.
"""

from typing import Any, Final

from pymongo import network_layer, pool_shared
from pymongo.errors import ProtocolError

MOST_MESSAGE: Final = 4 << 20  # bytes
MOST_HELLO: Final = 16 << 10  # bytes

_NAME: Final = network_layer.PyMongoProtocol.__name__
_COMMAND: Final = slice(25, 45)  # in OP_MSG, the type and the name of the first element
_HELLO: Final = (b"\x10hello\0", b"\x10ismaster\0")


class LimitedProtocol(network_layer.PyMongoProtocol):
    """The protocol of pymongo, with limits of ours."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._max_message_size = self._most = MOST_HELLO  # until more than the greeting is asked
        self._refusal: Exception | None = None  # of what came

    async def write(self, message: bytes) -> None:
        """Send a request. The answer to it has a limit from then on."""
        is_hello = bytes(message[_COMMAND]).startswith(_HELLO)
        self._max_message_size = self._most = MOST_HELLO if is_hello else MOST_MESSAGE
        self._check()
        await super().write(message)

    async def read(self, request_id: int | None, max_message_size: int) -> tuple[bytes, int]:
        """Read a message of at most so many bytes."""
        self._check()
        return await super().read(request_id, min(max_message_size, self._most))

    def close(self, exc: Exception | None = None) -> None:
        """Hang up. pymongo forgets the reason where it does not wait for a message just then."""
        self._refusal = self._refusal or exc
        super().close(exc)

    def _check(self) -> None:
        if isinstance(self._refusal, ProtocolError):
            raise self._refusal


def limit() -> None:
    """Have pymongo's clients heed the limits."""
    assert issubclass(getattr(pool_shared, _NAME), network_layer.PyMongoProtocol)
    setattr(pool_shared, _NAME, LimitedProtocol)
