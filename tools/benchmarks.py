"""The benchmarks; ``tools/bench`` runs them.

Each line of the table says what was measured and what it is to be.
"""

import contextlib
import json
import os
import random
import select
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import trio
import zmq
from emperord.daemon.actions import recorded
from emperord.daemon.fleet import Fleet, to_json
from emperord.daemon.fold import fold
from emperord.daemon.main import rebuild
from emperord.journal import chain
from emperord.journal.events import (
    Announced,
    Body,
    DaemonStarted,
    DeadlinePassed,
    Empty,
    Event,
    Exited,
    OfAttempt,
    OperatorRequested,
    Spawned,
    Spec,
    decode_body,
)
from emperord.journal.policy import Policy
from emperord.journal.store import SNAPSHOT_EVERY, Journal, Snapshot
from emperord.monitors.contract import Listing, Observation
from emperord.monitors.options import MonitorOptions
from emperord.monitors.registry import open_monitor

SLEEPER = "[emperor]\ncommand = sleep 1000\n"
BARRED = "[emperor]\nnonsense = 1\n"  # is known, never runs
PATIENCE = 120.0

Result = tuple[str, str, str, bool]
BENCHES: dict[str, Callable[[Path], list[Result]]] = {}


def bench(function: Callable[[Path], list[Result]]) -> Callable[[Path], list[Result]]:
    BENCHES[function.__name__] = function
    return function


def at_most(what: str, value: float, goal: float, unit: str) -> Result:
    return what, f"{value:.4g} {unit}", f"< {goal:g} {unit}", value < goal


def at_least(what: str, value: float, goal: float, unit: str) -> Result:
    return what, f"{value:,.0f} {unit}", f">= {goal:,.0f} {unit}", value >= goal


# A daemon to look at


class Daemon:
    """A daemon on ``folder/vassals``, with its journal beside it."""

    def __init__(self, folder: Path, *options: str, environ: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.journal = folder / "journal.db"
        vassals = folder / "vassals"
        vassals.mkdir(exist_ok=True)
        address = folder / "notify"
        address.unlink(missing_ok=True)
        self._ears = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._ears.bind(str(address))
        with (folder / "log").open("wb") as log:
            self._began = time.monotonic()
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "emperord.daemon.main",
                    "--journal", str(self.journal), *options, str(vassals),
                ],
                env={**os.environ, "NOTIFY_SOCKET": str(address), **(environ or {})},
                stdout=log,
                stderr=log,
            )  # fmt: skip

    def ready(self) -> float:
        """Seconds from the start until it said that it is ready."""
        self._ears.settimeout(PATIENCE)
        while b"READY=1" not in self._ears.recv(4096):
            pass
        return time.monotonic() - self._began

    def cpu(self) -> float:
        """Seconds of processor time that it has used, to the nanosecond (clock_getcpuclockid)."""
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def memory(self) -> dict[str, float]:
        """Rss and Pss in MB (of 2**20 bytes)."""
        lines = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines()[1:]
        values = {
            key: int(rest.split()[0]) / 1024 for key, _, rest in (x.partition(":") for x in lines)
        }
        return {key: values[key] for key in ("Rss", "Pss")}

    def last_seq(self) -> int:
        return int(self._ask("SELECT coalesce(max(seq), 0) FROM event"))

    def count(self, kind: str) -> int:
        return int(self._ask(f"SELECT count(*) FROM event WHERE kind = '{kind}'"))

    def _ask(self, sql: str) -> int:
        connection = sqlite3.connect(f"file:{self.journal}?mode=ro", uri=True)
        try:
            return int(connection.execute(sql).fetchone()[0])
        finally:
            connection.close()

    def wait_for(self, kind: str, count: int) -> None:
        end = time.monotonic() + PATIENCE
        while self.count(kind) < count:
            if time.monotonic() > end:
                sys.exit(f"{kind} came {self.count(kind)} times, not {count}")
            time.sleep(0.05)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)
        self._ears.close()


@contextlib.contextmanager
def daemon(folder: Path, *options: str, environ: dict[str, str] | None = None) -> Iterator[Daemon]:
    running = Daemon(folder, *options, environ=environ)
    try:
        running.ready()
        yield running
    finally:
        running.stop()


def write(folder: Path, count: int, text: str) -> None:
    (folder / "vassals").mkdir(exist_ok=True)
    for i in range(count):
        (folder / "vassals" / f"v{i}.ini").write_text(text)


# What the daemon takes

SPEAKER = """#!{python} -IS
import os, time
control, out = int(os.environ["UWSGI_EMPEROR_FD"]), os.open(os.environ["BENCH_PIPE"], os.O_WRONLY)
os.write(control, bytes([1, 5]))
while byte := os.read(control, 1):
    now = time.monotonic_ns()
    if byte in b"\\0\\2":
        break
    os.write(control, bytes([5]))
    os.write(out, b"%d\\n" % now)
"""


def reactions(
    folder: Path, what: str, change: Callable[[], object], *monitors: str
) -> list[Result]:
    """How long after a change of its one vassal a source has the daemon send byte 1.

    ``change`` adds the vassal when it is called first. A speaker notes when it reads the byte.
    """
    program = folder / "speaker"
    program.write_text(SPEAKER.format(python=sys.executable))
    program.chmod(0o755)
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    inlet = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    options = ("--uwsgi", str(program), *monitors)
    took: list[float] = []
    with daemon(folder, *options, environ={"BENCH_PIPE": str(pipe)}) as running:
        change()
        running.wait_for("vassal_accepting", 1)
        os.set_blocking(inlet, True)
        for _ in range(60):
            time.sleep(0.1 + random.random() * 0.1)
            began = time.monotonic_ns()
            change()
            if not select.select([inlet], [], [], 10)[0]:
                sys.exit(f"{what}: the change was not seen")
            took.append((int(os.read(inlet, 100)) - began) / 1e6)
    os.close(inlet)
    worst = statistics.quantiles(took, n=20)[-1]
    return [
        at_most(f"{what} to byte 1, median of 60", statistics.median(took), 20, "ms"),
        (f"{what} to byte 1, 95 %", f"{worst:.4g} ms", "", True),
    ]


@contextlib.contextmanager
def serving(name: str) -> Iterator[dict[str, Any]]:
    """A real server by ``tools/services``: where it is."""
    tool = Path(__file__).with_name("services")
    with subprocess.Popen(
        [sys.executable, tool, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        try:
            yield json.loads(running.stdout.readline())[name]
        finally:
            running.stdin.close()


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


@contextlib.contextmanager
def server(name: str) -> Iterator[dict[str, Any]]:
    """A private server by tools/services: what a client needs to know."""
    tool = [sys.executable, str(Path(__file__).with_name("services")), name]
    with subprocess.Popen(tool, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        try:
            yield json.loads(run.stdout.readline())[name]
        finally:
            run.stdin.close()


@bench
def postgres(folder: Path) -> list[Result]:
    """pg://: a row is updated, with the triggers of the documentation; and many that are not."""
    page = (Path(__file__).parents[1] / "docs" / "sources-postgres.md").read_text()
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
        (folder / "journal.db").unlink()
        with daemon(folder, "--freq", "1", url) as running:
            running.wait_for("vassal_added", 10_000)
            time.sleep(2)
            before = running.cpu()
            time.sleep(10)
            took = (running.cpu() - before) / 10 * 1e3
    return [*results, at_most("pg:// poll of 10,000 rows: CPU", took, 300, "ms")]


@bench
def amqp(folder: Path) -> list[Result]:
    """amqp://: a message is published, and a flood of them."""
    import pika

    with serving("rabbitmq") as where:
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
        (folder / "journal.db").unlink()
        with daemon(folder, "--freq", "1", url) as running:
            running.wait_for("vassal_added", 10_000)
            time.sleep(2)
            before = running.cpu()
            time.sleep(10)
            took = (running.cpu() - before) / 10 * 1e3
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
            time.sleep(2)
            before = running.cpu()
            time.sleep(10)
            took = (running.cpu() - before) / 10 * 1e3
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
            time.sleep(2)
            before = running.cpu()
            time.sleep(10)
            idle = (running.cpu() - before) / 10 * 1e3
        client.stop()
        client.close()
    return [
        *results,
        at_most("zoo:// 2,000 znodes set: until all are durable", storm, 10, "s"),
        ("zoo:// 2,000 znodes, unchanged: CPU", f"{idle:.4g} ms/s", "", True),
    ]


@bench
def spawn(folder: Path) -> list[Result]:
    """All that starting costs the daemon: seeing the file, reading it, three events, the spawn."""
    count = 200
    with daemon(folder) as running:
        before = running.cpu()
        write(folder, count, SLEEPER)
        running.wait_for("spawned", count)
        took = running.cpu() - before
    return [at_most(f"spawn: CPU of the daemon, {count} at once", took / count * 1e3, 1.5, "ms")]


@bench
def start(folder: Path) -> list[Result]:
    """From exec to READY on an empty directory."""
    took: list[float] = []
    for _ in range(8):
        running = Daemon(folder)
        took.append(running.ready() * 1e3)
        running.stop()
    return [
        at_most("start to READY, median of 7", statistics.median(took[1:]), 300, "ms"),
        ("the very first start, which makes the journal", f"{took[0]:.4g} ms", "", True),
    ]


@bench
def memory(folder: Path) -> list[Result]:
    """1,000 running vassals."""
    write(folder, 1000, SLEEPER)
    with daemon(folder) as running:
        running.wait_for("spawned", 1000)
        time.sleep(12)  # what belongs to the start only has been given back
        before = running.cpu()
        time.sleep(10)
        idle = (running.cpu() - before) / 10 * 1e3
        used = running.memory()
    return [
        at_most("1,000 vassals: resident (RSS)", used["Rss"], 45, "MB"),
        ("1,000 vassals: proportional (PSS)", f"{used['Pss']:.4g} MB", "", True),
        ("1,000 vassals: CPU when nothing happens", f"{idle:.4g} ms/s", "", True),
    ]


BEAT = r'printf "\032" >&$UWSGI_EMPEROR_FD'
BEATER = f"""[emperor]
command = bash -c 'for i in 1 2 3 4 5 6; do {BEAT}; sleep 1; done; exec sleep 1000'
"""


@bench
def listening(folder: Path) -> list[Result]:
    """What vassals on demand cost that nobody has asked for yet."""
    sockets = folder / "sockets"
    sockets.mkdir()
    write(folder, 5000, SLEEPER)
    began = time.monotonic()
    with daemon(folder, "--on-demand-directory", str(sockets)) as running:
        while len(os.listdir(sockets)) < 5000:
            time.sleep(0.05)
        took = time.monotonic() - began
        time.sleep(2)
        memory = running.memory()["Rss"]
        before = running.cpu()
        time.sleep(10)
        idle = (running.cpu() - before) / 10 * 1e3
        with socket.socket(socket.AF_UNIX) as client:
            wanted = time.monotonic()
            client.connect(str(sockets / "v2500.socket"))
            while not running.count("spawned"):
                time.sleep(0.001)
            woken = (time.monotonic() - wanted) * 1e3
    return [
        at_most("5,000 vassals on demand: memory of the daemon", memory, 100, "MB"),
        at_most("5,000 vassals on demand: start to listening", took, 20, "s"),
        at_most("5,000 vassals on demand: CPU at rest, a second", idle, 50, "ms"),
        at_most("5,000 vassals on demand: first client to spawn", woken, 100, "ms"),
    ]


@bench
def heartbeats(folder: Path) -> list[Result]:
    """1,000 vassals send six heartbeats each: the first is an event, the others none."""
    write(folder, 1000, BEATER)
    with daemon(folder, "--required-heartbeat", "600") as running:
        running.wait_for("heartbeat_started", 1000)
        before = running.last_seq()
        time.sleep(7)
        grown = running.last_seq() - before
    return [("1,000 vassals, 6 heartbeats: events after the first", f"{grown}", "0", grown == 0)]


@bench
def rescan(folder: Path) -> list[Result]:
    """10,000 files that do not change."""
    write(folder, 10_000, BARRED)
    with daemon(folder, "--freq", "1") as running:
        running.wait_for("vassal_added", 10_000)
        time.sleep(5)  # until the files are old enough for their times to be trusted
        took: list[float] = []
        for _ in range(10):
            before = running.cpu()
            time.sleep(1)
            took.append((running.cpu() - before) * 1e3)
    return [at_most("rescan of 10,000 files: CPU", statistics.median(took), 100, "ms")]


# What the record takes


class Story:
    """Events as a fleet of 1,000 vassals makes them: deploys, reloads, deaths, next tries."""

    def __init__(self, specs: dict[str, Spec], url: str) -> None:
        self.fleet = Fleet()
        self._specs = specs
        self._url = url
        self._at = time.time_ns() - 10**15
        self._random = random.Random(1)
        policy = Policy(max_starting=100_000)
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        self._first = [
            self.row(
                "daemon_started",
                DaemonStarted(version="0", boot=boot, pid=1, policy=policy, monitors=(url,)),
            ),
            self.row("daemon_ready", Empty()),
        ]

    def row(self, kind: str, body: Body, vassal: str | None = None) -> chain.Columns:
        self._at += 1_000_000
        monitor = self._url if kind.startswith("vassal_") and isinstance(body, Announced) else None
        known = self.fleet.vassals.get(vassal or "")
        cause = known.order if known is not None else None
        event = Event(self.fleet.seq + 1, self._at, kind, monitor, vassal, cause, body)
        actions = recorded(fold(self.fleet, event))
        return (event.seq, event.at, kind, monitor, vassal, cause, chain.text(body), actions)

    def __iter__(self) -> Iterator[chain.Columns]:
        yield from self._first
        for name, spec in self._specs.items():
            yield self.row("vassal_added", Announced(spec=spec), name)
        names = list(self._specs)
        while True:
            yield from self._episode(self._random.choice(names))

    def _episode(self, name: str) -> Iterator[chain.Columns]:
        """One vassal goes one step on."""
        vassal = self.fleet.vassals[name]
        attempt = vassal.attempt or 0
        match vassal.phase:
            case "starting":
                yield self.row(
                    "spawned", Spawned(attempt=attempt, pid=attempt + 5000, start_time=1), name
                )
                yield self.row("vassal_ready", OfAttempt(attempt=attempt), name)
                yield self.row("vassal_accepting", OfAttempt(attempt=attempt), name)
            case "reloading":
                yield self.row("vassal_accepting", OfAttempt(attempt=attempt), name)
            case "throttled":
                assert vassal.deadline is not None
                self._at = max(self._at, vassal.deadline)
                yield self.row("deadline_passed", DeadlinePassed(deadline=vassal.deadline), name)
            case _ if self._random.random() < 0.7:
                body = Announced(spec=self._specs[name], change="ts")
                yield self.row("vassal_changed", body, name)
            case _:
                yield self.row(
                    "exited", Exited(attempt=attempt, code=1, log="Traceback: why\n" * 5), name
                )

    def end(self) -> Iterator[chain.Columns]:
        """An operator stops all, and they stop."""
        yield self.row("operator_requested", OperatorRequested(request="stop", uid=0))
        for name, vassal in self.fleet.vassals.items():
            if vassal.attempt is not None:
                yield self.row("exited", Exited(attempt=vassal.attempt, code=0), name)
        yield self.row("daemon_stopped", Empty())


def story(folder: Path) -> Story:
    """A story of files that are really there."""
    write(folder, 1000, SLEEPER)
    monitor = open_monitor(str(folder / "vassals"), MonitorOptions())
    seen: dict[str, Spec] = {}

    async def look() -> None:
        with trio.CancelScope() as scope:

            async def tell(*told: Observation) -> None:
                for observation in told:
                    assert isinstance(observation, Listing)
                    seen.update({name: one.spec for name, one in observation.seen.items()})
                scope.cancel()

            await monitor.run(tell, {})

    trio.run(look)
    return Story(seen, monitor.url)


def some(rows: Iterator[chain.Columns], count: int) -> list[chain.Columns]:
    return [next(rows) for _ in range(count)]


@bench
def folding(folder: Path) -> list[Result]:
    """Decode and fold, as every start and every replay does."""
    rows = some(iter(story(folder)), 200_000)
    took: list[float] = []
    for _ in range(3):
        fleet = Fleet()
        began = time.perf_counter()
        for seq, at, kind, monitor, vassal, cause, body, _ in rows:
            fold(fleet, Event(seq, at, kind, monitor, vassal, cause, decode_body(kind, body)))
        took.append(time.perf_counter() - began)
    return [at_least("decode and fold", len(rows) / min(took), 200_000, "events/s")]


@bench
def append(folder: Path) -> list[Result]:
    """100,000 events that wait, in turns as the daemon takes them; each turn is synced."""
    rows = some(iter(story(folder)), 100_000)
    with Journal.open(str(folder / "append.db")) as journal:
        began = time.perf_counter()
        for i in range(0, len(rows), 5000):
            journal.append(rows[i : i + 5000])
        took = time.perf_counter() - began
    return [at_least("append, durable", len(rows) / took, 60_000, "events/s")]


@bench
def million(folder: Path) -> list[Result]:
    """A journal of a million events, the last snapshot almost 10,000 events ago."""
    told = story(folder)
    rows = iter(told)
    path = folder / "journal.db"
    with Journal.open(str(path)) as journal:
        while journal.seq < 1_000_000:
            turn = some(rows, SNAPSHOT_EVERY - told.fleet.seq % SNAPSHOT_EVERY)
            journal.append(turn, None, Snapshot(told.fleet.seq, to_json(told.fleet)))
        journal.append(some(rows, 6000))
        journal.append(list(told.end()))
        total = journal.seq
    with Journal.open(str(path)) as journal:
        began = time.perf_counter()
        fleet = rebuild(journal)
        rebuilt = time.perf_counter() - began
    assert fleet.seq == total
    took: list[float] = []
    for _ in range(3):
        running = Daemon(folder)
        took.append(running.ready() * 1e3)
        running.stop()
    size = path.stat().st_size / (1 << 20)
    return [
        at_most(f"{total:,} events ({size:.0f} MB): rebuild the fleet", rebuilt * 1e3, 1000, "ms"),
        at_most(f"{total:,} events: start to READY", statistics.median(took), 1000, "ms"),
    ]


def main() -> None:
    names = sys.argv[1:] or list(BENCHES)
    if unknown := set(names) - set(BENCHES):
        sys.exit(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    missed = False
    for name in names:
        folder = Path(tempfile.mkdtemp(prefix="bench-"))
        try:
            for what, measured, goal, good in BENCHES[name](folder):
                missed |= not good
                print(
                    f"{what:<55} {measured:>20}  {goal:<22} {'' if good else 'MISSED'}", flush=True
                )
        finally:
            shutil.rmtree(folder)
    sys.exit(missed)


if __name__ == "__main__":
    main()
