"""Private parts of dependencies that we use: each is where it was, and takes what it took.

A library may move such a part in any release, so pyproject.toml has an upper bound for it. When a
bound is raised, a failure here says which file needs a look.
"""

import ast
import asyncio
import importlib
import inspect
import re
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("daemon", "journal", "monitors", "replay")
DOCUMENTED: Final = frozenset(("_replace", "_exit"))  # private by their names only


class Part(NamedTuple):
    """A part named ``MODULE:PATH``, and the file of ours that uses it.

    ``takes`` are parameters of it, in their order. An object of the class before ``!`` is made to
    find what its constructor sets.
    """

    distribution: str
    name: str
    by: str
    takes: tuple[str, ...] = ()


_ADAPTER: Final = "pika.adapters.asyncio_connection:_AsyncioIOServicesAdapter"
_PROTOCOL: Final = "pika.adapters.utils.nbio_interface:AbstractStreamProtocol"
_HANDLER: Final = "kazoo.handlers.threading:SequentialThreadingHandler"
_MONGO: Final = "pymongo.network_layer:PyMongoProtocol"
_LDAP: Final = "ldap.ldapobject:SimpleLDAPObject"
_STREAM: Final = "httpcore2._backends.trio:TrioStream"
PARTS: Final = (
    Part("pika", _ADAPTER, "monitors/amqp/connection.py", ("loop",)),
    Part(
        "pika",
        f"{_ADAPTER}.create_streaming_connection",
        "monitors/amqp/connection.py",
        ("protocol_factory", "sock", "on_done"),
    ),
    Part("pika", f"{_ADAPTER}.getaddrinfo", "monitors/amqp/connection.py", ("host", "on_done")),
    Part(
        "pika",
        "pika.adapters.asyncio_connection:AsyncioConnection._terminate_stream",
        "monitors/amqp/connection.py",
        ("error",),
    ),
    Part("pika", f"{_PROTOCOL}.connection_made", "monitors/amqp/frames.py", ("transport",)),
    Part("pika", f"{_PROTOCOL}.connection_lost", "monitors/amqp/frames.py", ("error",)),
    Part("pika", f"{_PROTOCOL}.data_received", "monitors/amqp/frames.py", ("data",)),
    Part("pika", f"{_PROTOCOL}.eof_received", "monitors/amqp/frames.py"),
    Part("kazoo", f"{_HANDLER}!completion_queue.put", "monitors/zookeeper/sockets.py"),
    Part("kazoo", f"{_HANDLER}!callback_queue.put", "monitors/zookeeper/sockets.py"),
    Part("kazoo", f"{_HANDLER}!_running", "monitors/zookeeper/sockets.py"),
    Part("kazoo", f"{_HANDLER}.spawn", "monitors/zookeeper/sockets.py", ("func",)),
    Part("kazoo", f"{_HANDLER}.select", "monitors/zookeeper/sockets.py"),
    Part("kazoo", f"{_HANDLER}.create_connection", "monitors/zookeeper/sockets.py"),
    Part("kazoo", "kazoo.client:KazooClient!_queue", "tests/monitors/zookeeper/test_races.py"),
    Part("kazoo", "kazoo.client:KazooClient!_pending", "tests/monitors/zookeeper/test_races.py"),
    Part("python-ldap", f"{_LDAP}._ldap_call", "monitors/ldap/connection.py", ("func",)),
    Part("python-ldap", f"{_LDAP}!_l.result4", "monitors/ldap/connection.py"),
    Part(
        "psycopg",
        "psycopg:AsyncConnection._connect_gen",
        "monitors/postgres/link.py",
        ("conninfo",),
    ),
    Part("psycopg", "psycopg:AsyncConnection.wait", "monitors/postgres/monitor.py", ("gen",)),
    Part("psycopg", "psycopg.generators:execute", "monitors/postgres/query.py", ("pgconn",)),
    Part("psycopg", "psycopg.generators:send", "monitors/postgres/results.py", ("pgconn",)),
    Part("psycopg", "psycopg.generators:notifies", "monitors/postgres/monitor.py", ("pgconn",)),
    Part("psycopg", "psycopg.waiting:Wait.R", "monitors/postgres/relay.py"),
    Part(
        "pymongo",
        "pymongo.pool_shared:PyMongoProtocol",
        "monitors/mongodb/wire.py",
    ),
    Part("pymongo", f"{_MONGO}!_max_message_size", "monitors/mongodb/wire.py"),
    Part("pymongo", f"{_MONGO}.write", "monitors/mongodb/wire.py", ("message",)),
    Part(
        "pymongo",
        f"{_MONGO}.read",
        "monitors/mongodb/wire.py",
        ("request_id", "max_message_size"),
    ),
    Part("pymongo", f"{_MONGO}.close", "monitors/mongodb/wire.py", ("exc",)),
    Part(
        "httpcore2",
        f"{_STREAM}.read",
        "monitors/amqp/paced_answers.py",
        ("max_bytes", "timeout"),
    ),
    Part("trio-asyncio", "trio_asyncio:TrioExecutor.submit", "monitors/asyncio_loop.py", ("func",)),
)
# No bound for this one: if it moves, tests fail and no daemon does.
_SHRINKING: Final = "hypothesis.internal.conjecture.engine:MAX_SHRINKING_SECONDS"
OF_TESTS: Final = (
    Part("trio", "trio._core._run:_r.seed", "tests/simulation/life.py"),
    Part("hypothesis", _SHRINKING, "tests/conftest.py"),
)


def flaw(part: Part) -> str | None:
    """The difference from the part as it was, None if there is none."""
    told = f"{part.distribution} {version(part.distribution)}: {part.name}, which {part.by} uses,"
    try:
        found = _found(part.name)
    except (ImportError, AttributeError) as error:
        return f"{told} is not there any more: {error}"
    if part.takes:
        has = inspect.signature(found)
        if tuple(name for name in has.parameters if name in part.takes) != part.takes:
            return f"{told} takes {has} and no longer ({', '.join(part.takes)})"
    return None


def _found(name: str) -> Any:
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(module)
    kind, made, rest = path.partition("!")
    for each in kind.split("."):
        found = getattr(found, each)
    if made:
        found = asyncio.run(_made(found))
        for each in rest.split("."):
            found = getattr(found, each)
    return found


async def _made(kind: Callable[..., Any]) -> Any:
    """An object that connects to nothing. In a loop, because pymongo's wants one."""
    return kind("ldap://") if kind.__name__ == "SimpleLDAPObject" else kind()


def _installed(library: str) -> bool:
    try:
        version(library)
    except PackageNotFoundError:
        return False
    return True


@pytest.mark.parametrize(
    "part", PARTS + OF_TESTS, ids=lambda part: f"{part.distribution} {part.name}"
)
def test_a_private_part_is_where_it_was(part: Part) -> None:
    if part.distribution in ("python-ldap", "trio-asyncio") and not _installed(part.distribution):
        pytest.skip(f"{part.distribution} is not installed here")
    told = flaw(part)
    assert told is None, told


@pytest.mark.parametrize(
    ("name", "takes", "told"),
    [
        ("pika:Gone", (), "pika:Gone, which a.py uses, is not there any more: "),
        ("pika.gone:Gone", (), "pika.gone:Gone, which a.py uses, is not there any more: "),
        (f"{_HANDLER}!_gone", (), f"{_HANDLER}!_gone, which a.py uses, is not there any more: "),
        (_ADAPTER, ("gone",), f"{_ADAPTER}, which a.py uses, takes (loop"),
    ],
)
def test_a_part_that_moved_is_named(name: str, takes: tuple[str, ...], told: str) -> None:
    assert f"pika {version('pika')}: {told}" in str(flaw(Part("pika", name, "a.py", takes)))


def _private_uses() -> Iterator[tuple[str, str]]:
    """Attributes of others, and imported names, that begin with an underscore: file and name."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                names: list[str] = []
                if isinstance(node, ast.ImportFrom) and node.level == 0:
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.Attribute) and not _is_own(node.value):
                    names = [node.attr]
                for name in names:
                    if re.match("_(?!_)", name) and name not in DOCUMENTED:
                        yield str(path.relative_to(ROOT)), name


def _is_own(value: ast.expr) -> bool:
    return isinstance(value, ast.Name) and value.id in ("self", "cls")


def test_each_private_name_in_the_source_is_in_the_table() -> None:
    uses = set(_private_uses())
    assert uses, "the search finds nothing at all"
    for file, name in uses:
        assert any(part.by == file and name in re.split(r"[.:!]", part.name) for part in PARTS), (
            f"{file} uses {name}: give it a row in PARTS"
        )


def test_each_file_in_the_table_is_there() -> None:
    assert [part.by for part in PARTS if not (ROOT / part.by).is_file()] == []


@pytest.mark.parametrize("library", sorted({part.distribution for part in PARTS}))
def test_a_library_with_private_parts_in_use_has_an_upper_bound(library: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"]["ldap"]]
    (found,) = (each for each in declared if re.split(r"[\[<>=;]", each)[0].strip() == library)
    assert "<" in found.partition(";")[0], f"{found} in pyproject.toml needs an upper bound"
