"""From a change in a source to the byte that a vassal gets; and what sources cost at rest."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import zmq
from measuring import BARRED, Daemon, Result, at_most, at_rest, bench, daemon, reactions, server


@bench
def touch(folder: Path) -> list[Result]:
    """dir://: a file is touched."""
    return reactions(folder, "touch", (folder / "vassals" / "v0.ini").touch)


@bench
def zeromq(folder: Path) -> list[Result]:
    """zmq://: a message is sent, and a flood of them."""
    endpoint = f"ipc://{folder}/zmq"
    with zmq.Context() as context, context.socket(zmq.PUSH) as push:
        push.setsockopt(zmq.LINGER, 0)
        push.setsockopt(zmq.RECONNECT_IVL, 10)
        push.connect(endpoint)

        def send() -> None:
            push.send_multipart([b"touch", b"v0.ini", b"[uwsgi]\n"])

        results = reactions(folder, "zmq:// message", send, f"zmq://{endpoint}")
        text = BARRED.encode() + b"#" * 500
        with daemon(folder, f"zmq://{endpoint}") as running:
            before = running.count("vassal_changed")
            began = time.monotonic()
            for i in range(5000):
                push.send_multipart([b"touch", b"v0.ini", text + b"%d" % i])
            running.wait_for("vassal_changed", before + 5000)
            took = time.monotonic() - began
    return [*results, ("zmq:// 5,000 messages: until all are durable", f"{took:.3g} s", "", True)]


def unchanged(folder: Path, url: str) -> float:
    """Milliseconds of processor time a second that a source of 10,000 costs at rest."""
    (folder / "journal.db").unlink()
    with daemon(folder, "--freq", "1", url) as running:
        running.wait_for("vassal_added", 10_000)
        return at_rest(running)


@bench
def postgres(folder: Path) -> list[Result]:
    """pg://: a row is updated, with the triggers of the documentation; and many that are not."""
    page = (Path(__file__).parents[2] / "docs" / "sources-postgres.md").read_text()
    table = page.partition("```sql\n")[2].partition("```")[0]
    put = (
        "INSERT INTO vassals (name, config) VALUES ('v0.ini', '[uwsgi]')"
        " ON CONFLICT (name) DO UPDATE SET config = excluded.config"
    )
    fill = (
        "INSERT INTO vassals (name, config) SELECT 'v' || n || '.ini', %s || repeat('#', 500)"
        " FROM generate_series(1, 10000) AS n"
    )
    with server("postgres") as where, psycopg.connect(where["conninfo"], autocommit=True) as link:
        link.execute(table)
        url = f"pg://{where['conninfo']}"
        results = reactions(folder, "pg:// update", partial(link.execute, put), url)
        link.execute("TRUNCATE vassals")
        link.execute(fill, (BARRED,))
        took = unchanged(folder, url)
    return [*results, at_most("pg:// poll of 10,000 rows: CPU", took, 300, "ms")]


@bench
def amqp(folder: Path) -> list[Result]:
    """amqp://: a message is published, and a flood of them."""
    import pika

    with server("rabbitmq") as where:
        link = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", where["port"]))
        channel = link.channel()
        results = reactions(
            folder,
            "amqp:// message",
            lambda: channel.basic_publish("uwsgi.emperor", "v0.ini", b"[uwsgi]\n"),
            where["url"],
        )
        text = BARRED.encode() + b"#" * 500
        with daemon(folder, where["url"]) as running:
            before = running.count("vassal_changed")
            began = time.monotonic()
            for i in range(5000):
                channel.basic_publish("uwsgi.emperor", "v0.ini", text + b"%d" % i)
            running.wait_for("vassal_changed", before + 5000)
            took = time.monotonic() - began
        link.close()
    return [*results, ("amqp:// 5,000 messages: until all are durable", f"{took:.3g} s", "", True)]


@bench
def mongodb(folder: Path) -> list[Result]:
    """mongodb://: a document is updated, told by a change stream; and many that are not."""
    from pymongo import MongoClient

    with (
        server("mongodb") as where,
        MongoClient[dict[str, Any]](where["hosts"]) as client,
    ):
        vassals = client["emperor"]["vassals"]
        url = f"mongodb://{where['hosts']},emperor.vassals"
        update = {"$set": {"config": "[uwsgi]"}, "$inc": {"ts": 1}}
        put = partial(vassals.update_one, {"name": "v0.ini"}, update, upsert=True)
        results = reactions(folder, "mongodb:// update", put, url)
        vassals.delete_many({})
        config = BARRED + "#" * 500
        vassals.insert_many({"name": f"v{n}.ini", "config": config, "ts": n} for n in range(10_000))
        took = unchanged(folder, url)
    return [*results, at_most("mongodb:// poll of 10,000 documents: CPU", took, 300, "ms")]


@bench
def openldap(folder: Path) -> list[Result]:
    """ldap://: an entry is written, told by synchronization; and many that are not."""
    import ldap  # type: ignore[import-untyped]

    with server("openldap") as where:
        link = ldap.initialize(f"ldap://127.0.0.1:{where['port']}")
        link.simple_bind_s(where["admin"], where["password"])
        base = f"ou=vassals,{where['suffix']}"
        link.add_s(base, [("objectClass", b"organizationalUnit")])

        def add(name: str, config: str) -> None:
            entry = [("objectClass", b"emperorVassal"), ("emperorConfig", config.encode())]
            link.add_s(f"cn={name},{base}", entry)

        def put() -> None:
            change = [(ldap.MOD_REPLACE, "emperorConfig", b"[uwsgi]")]
            try:
                link.modify_s(f"cn=v0.ini,{base}", change)
            except ldap.NO_SUCH_OBJECT:
                add("v0.ini", "[uwsgi]")

        secret = folder / "password"
        secret.write_text(f"{where['admin']}\n{where['password']}\n")
        secret.chmod(0o600)
        url = f"ldap://127.0.0.1:{where['port']}/{base}????x-bindpw-file={secret}"
        results = reactions(folder, "ldap:// modify", put, url)
        for n in range(1, 10_000):
            add(f"v{n}.ini", BARRED + "#" * 500)
        (folder / "journal.db").unlink()
        with daemon(folder, "--freq", "1", url) as running:
            running.wait_for("vassal_added", 10_000)
            took = at_rest(running)
            busy = changes_among_many(running, put)
        link.unbind_s()
    return [
        *results,
        at_most("ldap:// 10,000 entries, at rest: CPU", took, 300, "ms"),
        ("ldap:// a change among 10,000 entries: CPU", f"{busy:.4g} ms", "", True),
    ]


def changes_among_many(running: Daemon, put: Callable[[], object]) -> float:
    """Milliseconds of processor time that one change costs."""
    before = running.cpu()
    seen = running.count("vassal_changed")
    for number in range(1, 11):
        put()
        running.wait_for("vassal_changed", seen + number)
    return (running.cpu() - before) / 10 * 1e3


@bench
def zookeeper(folder: Path) -> list[Result]:
    """zoo://: a znode is set, told by its watch; a storm; and many that are not changed."""
    from kazoo.client import KazooClient

    def set_all(orders: Callable[[str, bytes], Any], config: bytes) -> None:
        for start in range(0, 2000, 100):
            for result in [orders(f"/v/s{n}.ini", config) for n in range(start, start + 100)]:
                result.get()

    with server("zookeeper") as where:
        client = KazooClient(where["hosts"])
        client.start()
        client.create("/one")

        def put() -> None:
            if client.exists("/one/v0.ini"):
                client.set("/one/v0.ini", b"[uwsgi]")
            else:
                client.create("/one/v0.ini", b"[uwsgi]")

        results = reactions(folder, "zoo:// set", put, f"zoo://{where['hosts']}/one")
        (folder / "journal.db").unlink()
        client.create("/v")
        config = BARRED.encode() + b"#" * 500
        set_all(client.create_async, config)
        with daemon(folder, f"zoo://{where['hosts']}/v") as running:
            running.wait_for("vassal_added", 2000)
            began = time.monotonic()
            set_all(client.set_async, config + b"#")
            running.wait_for("vassal_changed", 2000)
            storm = time.monotonic() - began
            idle = at_rest(running)
        client.stop()
        client.close()
    return [
        *results,
        at_most("zoo:// 2,000 znodes set: until all are durable", storm, 10, "s"),
        ("zoo:// 2,000 znodes, unchanged: CPU", f"{idle:.4g} ms/s", "", True),
    ]
