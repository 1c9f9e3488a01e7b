"""Servers that speak just enough of a source's protocol to be believed, for as long as they like.

Each has ``sane``, a behaviour that serves one vassal ``a.ini``, and behaviours that are sane up to
a point. There ``huge`` claims a message of 2 GiB and sends it, and ``without_end`` gives valid
answers for ever.
"""

import itertools
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import bson
from pika import frame, spec  # type: ignore[import-untyped]

from .hostile_servers import TLS_HALF, Behaviour, Peer, endless

BARRED: Final = b"[emperor]\nnonsense = 1\n"  # a vassal of it takes no process
LARGE: Final = BARRED + b"#" * 60_000
_MOST: Final = 0x7FFFFFFF


def names() -> Iterator[str]:
    """Names without end, each another one."""
    return (f"v{number}.ini" for number in itertools.count())


# PostgreSQL


def _pg(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


_PG_READY: Final = _pg(b"Z", b"I")
PG_GREETING: Final = (
    _pg(b"R", struct.pack("!I", 0))
    + _pg(b"S", b"server_encoding\0UTF8\0")
    + _pg(b"S", b"client_encoding\0UTF8\0")
    + _PG_READY
)
_PG_COLUMNS: Final = _pg(
    b"T",
    struct.pack("!H", 3)
    + b"".join(
        name + b"\0" + struct.pack("!IHIhih", 0, 0, kind, -1, -1, 0)
        for name, kind in ((b"name", 25), (b"config", 25), (b"ts", 1700))
    ),
)


def pg_row(*values: bytes) -> bytes:
    """A DataRow."""
    parts = b"".join(struct.pack("!I", len(value)) + value for value in values)
    return _pg(b"D", struct.pack("!H", len(values)) + parts)


def pg_begin(peer: Peer, *, tls: bytes = b"N") -> None:
    """As far as the answer to the startup message; ``tls`` answers the wish for TLS."""
    while True:
        length, code = struct.unpack("!II", peer.take(8))
        if code == 80877103:
            peer.send(tls)
            if tls != b"N":
                return
            continue
        peer.take(length - 8)
        return


def postgres(rows: Iterable[bytes], after: Behaviour | None = None) -> Behaviour:
    """Answers any query with these rows; then does what ``after`` says, if anything."""

    def behave(peer: Peer) -> None:
        pg_begin(peer)
        peer.send(PG_GREETING)
        while True:
            kind, length = struct.unpack("!cI", peer.take(5))
            body = peer.take(length - 4)
            if kind == b"Q":
                for _ in range(body.count(b";") + 1):
                    peer.send(_pg(b"C", b"SET\0"))
                peer.send(_PG_READY)
            elif kind == b"P" and b"octet_length" in body:
                peer.send(_pg(b"E", b"SERROR\0VERROR\0C42601\0Mno\0\0"))
            elif kind == b"E":
                for row in rows:
                    peer.send(row)
                if after is not None:
                    after(peer)
                peer.send(_pg(b"C", b"SELECT 1\0"))
            elif kind == b"X":
                return
            else:
                known = {b"P": _pg(b"1"), b"B": _pg(b"2"), b"S": _PG_READY}
                described = _pg(b"t", b"\0\0") + _PG_COLUMNS if body[:1] == b"S" else _PG_COLUMNS
                peer.send(described if kind == b"D" else known[kind])

    return behave


def pg_rows(config: bytes) -> Iterator[bytes]:
    """Rows without end, several at a time."""
    for batch in _batched():
        yield b"".join(pg_row(name.encode(), config, b"1") for name in batch)


def _batched() -> Iterator[list[str]]:
    every = names()
    while True:
        yield list(itertools.islice(every, 20))


def pg_parameters(peer: Peer) -> None:
    """Tell of settings without end, each another one."""
    for batch in _batched():
        peer.send(b"".join(_pg(b"S", name.encode() + b"\0\0") for name in batch))


# MongoDB

_HELLO: Final = {
    "helloOk": True, "isWritablePrimary": True, "ismaster": True,
    "maxBsonObjectSize": 1 << 24, "maxMessageSizeBytes": _MOST, "maxWriteBatchSize": 100_000,
    "minWireVersion": 0, "maxWireVersion": 21, "readOnly": False, "ok": 1.0,
}  # fmt: skip
Answers = Callable[[str, dict[str, Any]], Any]  # a document, or bytes as they are


def _mongo(document: dict[str, Any], request: int) -> bytes:
    body = struct.pack("<IB", 0, 0) + bson.encode(document)
    return struct.pack("<iiii", len(body) + 16, 1, request, 2013) + body


def mongo_request(peer: Peer) -> tuple[int, str, dict[str, Any]]:
    """The number of the next request, its command and its document."""
    length, number, _, code = struct.unpack("<iiii", peer.take(16))
    body = peer.take(length - 16)
    start = 5
    if code == 2004:  # OP_QUERY
        start = body.index(b"\0", 4) + 9
    size = struct.unpack_from("<i", body, start)[0]
    document = bson.decode(body[start : start + size])
    return number, next(iter(document)), document


def mongo(find: Callable[[Peer, int], None], **hello: Any) -> Behaviour:
    """Answers what every client asks; ``find`` answers a search and its continuation."""

    def behave(peer: Peer) -> None:
        while True:
            number, command, _ = mongo_request(peer)
            if command.lower() in ("hello", "ismaster"):
                peer.send(_mongo(_HELLO | hello, number))
            elif command == "aggregate":
                refused = {"ok": 0.0, "code": 40573, "errmsg": "no change streams here"}
                peer.send(_mongo(refused, number))
            elif command in ("find", "getMore"):
                find(peer, number)
            else:
                peer.send(_mongo({"ok": 1.0}, number))

    return behave


def mongo_documents(*documents: dict[str, Any], more: bool = False) -> Callable[[Peer, int], None]:
    """A search finds these; and more of them, without end."""
    numbers = itertools.count()

    def find(peer: Peer, request: int) -> None:
        batch = [
            {**each, "_id": next(numbers), **({"name": f"v{next(numbers)}.ini"} if more else {})}
            for each in documents
        ]
        cursor = {"id": 77 if more else 0, "ns": "d.c", "firstBatch": batch, "nextBatch": batch}
        peer.send(_mongo({"cursor": cursor, "ok": 1.0}, request))

    return find


def mongo_huge(peer: Peer, request: int) -> None:
    """A search is answered with 2 GiB."""
    endless(struct.pack("<iiii", _MOST, 1, request, 2013))(peer)


# AMQP


def _amqp(method: Any, channel: int = 1) -> bytes:
    return bytes(frame.Method(channel, method).marshal())


AMQP_GREETING: Final = _amqp(
    spec.Connection.Start(
        version_major=0,
        version_minor=9,
        server_properties={},
        mechanisms="PLAIN",
        locales="en_US",
    ),
    0,
)


def amqp_message(consumer: str, key: str, body: bytes, tag: int) -> bytes:
    """All frames of one delivery."""
    deliver = spec.Basic.Deliver(consumer, tag, False, "uwsgi.emperor", key)
    frames = [_amqp(deliver), frame.Header(1, len(body), spec.BasicProperties()).marshal()]
    if body:
        frames.append(frame.Body(1, body).marshal())
    return b"".join(map(bytes, frames))


def amqp_header(consumer: str, size: int) -> bytes:
    """The frames that begin a delivery of so many bytes."""
    deliver = spec.Basic.Deliver(consumer, 1, False, "uwsgi.emperor", "a.ini")
    return _amqp(deliver) + bytes(frame.Header(1, size, spec.BasicProperties()).marshal())


def amqp_body(body: bytes) -> bytes:
    """A frame of a body."""
    return bytes(frame.Body(1, body).marshal())


def amqp(then: Callable[[Peer, str], None]) -> Behaviour:
    """A broker with the exchange; when we consume, it does what ``then`` says."""

    def behave(peer: Peer) -> None:
        peer.take(8)
        peer.send(AMQP_GREETING)
        while True:
            kind, channel, size = struct.unpack("!BHI", peer.take(7))
            body = peer.take(size + 1)[:-1]
            if kind != 1:
                continue
            which = spec.methods[struct.unpack("!I", body[:4])[0]]
            answer = _AMQP_ANSWERS.get(which)
            if answer is not None:
                peer.send(_amqp(answer(), channel))
            if which is spec.Basic.Consume:
                consumer = str(spec.Basic.Consume().decode(body, 4).consumer_tag)
                peer.send(_amqp(spec.Basic.ConsumeOk(consumer), channel))
                then(peer, consumer)
            if which is spec.Connection.Close:
                return

    return behave


_AMQP_ANSWERS: Final[dict[Any, Callable[[], Any]]] = {
    spec.Connection.StartOk: lambda: spec.Connection.Tune(2047, 131072, 10),
    spec.Connection.Open: spec.Connection.OpenOk,
    spec.Connection.Close: spec.Connection.CloseOk,
    spec.Channel.Open: spec.Channel.OpenOk,
    spec.Channel.Close: spec.Channel.CloseOk,
    spec.Exchange.Declare: spec.Exchange.DeclareOk,
    spec.Queue.Declare: lambda: spec.Queue.DeclareOk("q", 0, 0),
    spec.Queue.Bind: spec.Queue.BindOk,
    spec.Basic.Qos: spec.Basic.QosOk,
}


# ZooKeeper


def _zoo(body: bytes) -> bytes:
    return struct.pack("!i", len(body)) + body


ZOO_GREETING: Final = _zoo(struct.pack("!iiqi", 0, 10_000, 1, 16) + bytes(16))
_ZOO_STAT: Final = struct.pack("!qqqqiiiqiiq", 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1)
ZOO_PING: Final = _zoo(struct.pack("!iqi", -2, 0, 0))


def zoo_event(path: bytes) -> bytes:
    """An event: what is below the path has changed."""
    return _zoo(struct.pack("!iqiiii", -1, -1, 0, 4, 3, len(path)) + path)


def zookeeper(
    children: Callable[[Peer, bytes], None] | None = None, data: bytes = BARRED
) -> Behaviour:
    """Has one znode; or ``children`` answers a request, whose header is given, for a list."""

    def behave(peer: Peer) -> None:
        peer.take(struct.unpack("!i", peer.take(4))[0])
        peer.send(ZOO_GREETING)
        while True:
            request = peer.take(struct.unpack("!i", peer.take(4))[0])
            number, kind = struct.unpack_from("!ii", request)
            header = struct.pack("!iqi", number, 1, 0)
            if kind == 12 and children is not None and not request.endswith(b".ini\1"):
                children(peer, header)
            elif kind == 12:
                found = [] if request[12:].rstrip(b"\1").endswith(b".ini") else [b"a.ini"]
                peer.send(_zoo(header + zoo_strings(found) + _ZOO_STAT))
            elif kind == 4:
                peer.send(_zoo(header + struct.pack("!i", len(data)) + data + _ZOO_STAT))
            elif kind == 3:
                peer.send(_zoo(header + _ZOO_STAT))
            else:
                peer.send(_zoo(header))

    return behave


def zoo_strings(texts: Iterable[bytes]) -> bytes:
    """A vector of texts."""
    found = list(texts)
    return struct.pack("!i", len(found)) + b"".join(struct.pack("!i", len(t)) + t for t in found)


def zoo_list(names: Iterable[bytes]) -> Callable[[Peer, bytes], None]:
    """The znode has these below it."""
    listed = zoo_strings(names) + _ZOO_STAT
    return lambda peer, header: peer.send(_zoo(header + listed))


def zoo_huge(peer: Peer, header: bytes) -> None:
    """A list is answered with 2 GiB."""
    endless(struct.pack("!i", _MOST) + header)(peer)


# LDAP


def pg_huge(peer: Peer) -> None:
    """A row that claims 2 GiB, and gets them."""
    endless(b"D" + struct.pack("!I", _MOST))(peer)


def pg_endless_row(peer: Peer) -> None:
    """A row of 1 GiB whose first value takes all of it."""
    size = 1 << 30
    endless(b"D" + struct.pack("!IHI", size, 3, size - 10))(peer)


def pg_notices(peer: Peer) -> None:
    """Notices without end."""
    notice = _pg(b"N", b"SNOTICE\0C00000\0M" + b"x" * 8000 + b"\0\0")
    while True:
        peer.send(notice)


def pg_half_of_tls(peer: Peer) -> None:
    """Agree to TLS, and begin to shake hands for it."""
    pg_begin(peer, tls=b"S" + TLS_HALF)
    peer.wait()


# MongoDB, beyond what is sane


def mongo_huge_hello(peer: Peer) -> None:
    """The first question is answered with 2 GiB."""
    number, _, _ = mongo_request(peer)
    endless(struct.pack("<iiii", _MOST, 1, number, 2013))(peer)


def amqp_sane(peer: Peer, consumer: str) -> None:
    """Deliver one message."""
    peer.send(amqp_message(consumer, "a.ini", BARRED, 1))


def amqp_endless(peer: Peer, consumer: str) -> None:
    """Deliver without end, whatever is acknowledged."""
    for tag in itertools.count(1):
        peer.send(amqp_message(consumer, "b.ini", BARRED + b"#%d" % tag, tag))


def amqp_endless_body(peer: Peer, consumer: str) -> None:
    """Deliver one message that does not end."""
    peer.send(amqp_header(consumer, 1 << 60))
    part = amqp_body(b"#" * 100_000)
    while True:
        peer.send(part)


def amqp_huge(peer: Peer, _: str) -> None:
    """A frame of 2 GiB."""
    endless(struct.pack("!BHI", 3, 1, _MOST))(peer)


def amqp_heartbeats(peer: Peer, _: str) -> None:
    """Signs of life without end."""
    many = bytes(frame.Heartbeat().marshal()) * 5000
    while True:
        peer.send(many)


def zoo_flood(message: bytes) -> Callable[[Peer, bytes], None]:
    """Send messages without end that the client did not ask for."""
    many = message * (1 + 50_000 // len(message))

    def children(peer: Peer, _: bytes) -> None:
        while True:
            peer.send(many)

    return children


def zoo_half_a_list(peer: Peer, header: bytes) -> None:
    """The beginning of a list, and then nothing."""
    peer.send(struct.pack("!i", 1 << 20) + header)
    peer.wait()


def mongo_members(count: int) -> Behaviour:
    """Claims to be one of so many members of a replica set."""
    hosts = [f"127.0.0.1:{number % 65535 + 1}" for number in range(count)]
    return mongo(mongo_documents(), hosts=hosts, setName="rs")


MONGO_GREETING: Final = _mongo(_HELLO, 1)
