"""Runs whose vassals come from a server: one of each source, most of them with an outage.

Each imports the client of its server, so that a machine without one lists the runs.
"""

from pathlib import Path

from of_files import QUICK
from support.kept import Emperor
from support.ports import free_port
from support.services import service
from support.vassals import shell

ZNODES = "/emperor/vassals"


def text(release: int) -> str:
    """The config of a program that runs until it is stopped."""
    return shell(f": release {release}; exec sleep 1000")


def postgres_rows(folder: Path) -> None:
    """PostgreSQL: rows come, change and go; the server is away for a while."""
    from support import postgres

    with service("postgres") as server:
        where = postgres.conninfo_of(server)
        with postgres.talking(postgres.conninfo_of(server, "postgres")) as link:
            link.execute("DROP DATABASE IF EXISTS emperor WITH (FORCE)")
            link.execute("CREATE DATABASE emperor")

        def execute(statement: str, *values: object) -> None:
            with postgres.talking(where) as link:
                link.execute(statement.encode(), values)

        execute(postgres.blocks()[0])
        insert = "INSERT INTO vassals (name, config) VALUES (%s, %s)"
        execute(insert, "shop.ini", text(1))
        url = f"pg://{where};{postgres.ALL_COLUMNS}"
        with Emperor(folder, *QUICK, monitors=[url]) as emperor:
            emperor.start()
            emperor.up("shop.ini")
            execute(insert, "mail.ini", text(1))
            emperor.up("mail.ini")
            execute("UPDATE vassals SET config = %s WHERE name = 'shop.ini'", text(2))
            emperor.event("spawned", "shop.ini", count=2)
            server("stop")
            emperor.event("monitor_failed")
            server("start")
            emperor.event("monitor_recovered")
            execute("DELETE FROM vassals WHERE name = 'mail.ini'")
            emperor.gone("mail.ini")
            emperor.stop()


def mongodb_documents(folder: Path) -> None:
    """MongoDB: documents come, change and go; the server is away for a while."""
    from support import mongodb

    with service("mongodb") as server, mongodb.client_of(server) as client:
        vassals = client["emperor"]["vassals"]

        def put(name: str, config: str, ts: int) -> None:
            document = {"name": name, "config": config, "ts": ts, "enabled": 1}
            vassals.replace_one({"name": name}, document, upsert=True)

        put("shop.ini", text(1), 1)
        url = f"mongodb://{server.where['hosts']},emperor.vassals,{{enabled:1}}"
        with Emperor(folder, *QUICK, monitors=[url]) as emperor:
            emperor.start()
            emperor.up("shop.ini")
            put("shop.ini", text(2), 2)
            emperor.event("spawned", "shop.ini", count=2)
            server("stop")
            emperor.event("monitor_failed")
            server("start")
            emperor.event("monitor_recovered")
            vassals.delete_one({"name": "shop.ini"})
            emperor.gone("shop.ini")
            emperor.stop()


def amqp_messages(folder: Path) -> None:
    """RabbitMQ: a config in a message, a path, one that is not there, and an empty body."""
    from support import rabbitmq

    path = folder / "path.ini"
    path.write_text(text(1))
    port = rabbitmq.shared().where["port"]
    with rabbitmq.Publisher() as publisher:
        publisher.declare()
        with Emperor(folder, *QUICK, monitors=[f"amqp://127.0.0.1:{port}"]) as emperor:
            emperor.start()
            publisher.publish("shop.ini", text(1))
            emperor.up("shop.ini")
            publisher.publish("", str(path))
            emperor.up(str(path))
            publisher.publish("shop.ini", text(2))
            emperor.event("spawned", "shop.ini", count=2)
            publisher.publish("", str(folder / "none.ini"))
            emperor.event("observation_rejected")
            emperor.restart()
            publisher.publish("shop.ini", "")
            emperor.gone("shop.ini")
            emperor.stop()


def zeromq_messages(folder: Path) -> None:
    """ZeroMQ: touch, touch again, a message that is none, destroy; the daemon is killed."""
    from support.pushing import Pusher

    endpoint = f"tcp://127.0.0.1:{free_port()}"
    with Emperor(folder, *QUICK, monitors=[f"zmq://{endpoint}"]) as emperor:
        emperor.start()
        with Pusher(endpoint) as pusher:
            pusher.touch("shop.ini", text(1))
            pusher.touch("mail.ini", text(1))
            emperor.up("shop.ini", "mail.ini")
            pusher.touch("shop.ini", text(2))
            emperor.event("spawned", "shop.ini", count=2)
            pusher.send("dance", "shop.ini")
            emperor.event("observation_rejected")
            emperor.restart()
            pusher.destroy("mail.ini")
            emperor.gone("mail.ini")
        emperor.stop()


def zookeeper_znodes(folder: Path) -> None:
    """ZooKeeper: znodes come, change and go; the server is away for a while."""
    from support import zookeeper

    with service("zookeeper") as server, zookeeper.talking(server.where["hosts"]) as client:
        client.create(ZNODES, makepath=True)
        zookeeper.put(client, f"{ZNODES}/shop.ini", text(1))
        url = f"zoo://{server.where['hosts']}{ZNODES}"
        with Emperor(folder, *QUICK, monitors=[url]) as emperor:
            emperor.start()
            emperor.up("shop.ini")
            zookeeper.put(client, f"{ZNODES}/mail.ini", text(1))
            emperor.up("mail.ini")
            zookeeper.put(client, f"{ZNODES}/shop.ini", text(2))
            emperor.event("spawned", "shop.ini", count=2)
            server("stop")
            emperor.event("monitor_failed")
            server("start")
            emperor.event("monitor_recovered")
            client.delete(f"{ZNODES}/mail.ini")
            emperor.gone("mail.ini")
            emperor.stop()


def ldap_entries(folder: Path) -> None:
    """OpenLDAP: entries come, change and go; their place is away for a while."""
    from support.ldap import Directory, LdapSource

    with service("openldap") as server:
        source = LdapSource(server=server, directory=Directory(server))
        source.put("shop.ini", text(1))
        with Emperor(folder, *QUICK, monitors=[f"ldap://{source.rest()}"]) as emperor:
            emperor.start()
            emperor.up("shop.ini")
            source.put("mail.ini", text(1))
            emperor.up("mail.ini")
            source.put("shop.ini", text(2))
            emperor.event("spawned", "shop.ini", count=2)
            source.fail()
            emperor.event("monitor_failed")
            source.mend()
            emperor.event("monitor_recovered")
            source.remove("mail.ini")
            emperor.gone("mail.ini")
            emperor.stop()
        source.directory.close()


RUNS = (
    postgres_rows, mongodb_documents, amqp_messages, zeromq_messages, zookeeper_znodes,
    ldap_entries,
)  # fmt: skip
