"""Damages a journal, for tests of what finds it.

A function works on a closed journal, or on what a killed daemon left. It does so as the real thing
does: by SQL, by bytes of the file, by whole files.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from click.testing import CliRunner
from emperord.daemon.main import rebuild
from emperord.journal import chain
from emperord.journal.errors import JournalError
from emperord.journal.store import Journal
from emperord.replay.main import cli

EVENTS = 60
ROW = 30  # the row that is harmed where one is
Harm = Callable[[Path], None]


def run_verify(path: Path) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["--journal", str(path), "verify"])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


def sql(statement: str, *parameters: object) -> Harm:
    def harm(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            assert db.execute(statement, parameters).rowcount != 0, "nothing was harmed"

    return harm


def swap(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for old, new in ((ROW, -1), (ROW + 1, ROW), (-1, ROW + 1)):
            db.execute("UPDATE event SET seq = ? WHERE seq = ?", (new, old))


def rewrite(path: Path, change: Callable[[list[object]], None]) -> None:
    """Change a row and make the chain fit again, as an attacker who knows how it is made would."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        previous = bytes(32)
        for row in db.execute("SELECT * FROM event ORDER BY seq").fetchall():
            columns = list(row[:8])
            if columns[0] == ROW:
                change(columns)
            previous = chain.link(previous, tuple(columns))
            db.execute("DELETE FROM event WHERE seq = ?", (row[0],))
            marks = ", ".join("?" * 9)
            db.execute(f"INSERT INTO event VALUES ({marks})", (*columns, previous))
            db.execute("UPDATE snapshot SET hash = ? WHERE seq = ?", (previous, row[0]))
        db.execute("UPDATE chain SET hash = ? WHERE name = 'head'", (previous,))


def turn_back_the_clock(path: Path) -> None:
    def change(columns: list[object]) -> None:
        at = columns[1]
        assert isinstance(at, int)
        columns[1] = at - 3600 * 10**9

    rewrite(path, change)


def forge_a_body(path: Path) -> None:
    def change(columns: list[object]) -> None:
        columns[6] = "[]"

    rewrite(path, change)


def flip_byte(offset: Callable[[bytes], int], suffix: str = "") -> Harm:
    def harm(path: Path) -> None:
        file = Path(f"{path}{suffix}")
        content = bytearray(file.read_bytes())
        content[offset(bytes(content))] ^= 0x20
        file.write_bytes(content)

    return harm


def cut(size: Callable[[bytes], int], suffix: str = "") -> Harm:
    def harm(path: Path) -> None:
        file = Path(f"{path}{suffix}")
        content = file.read_bytes()
        file.write_bytes(content[: size(content)])

    return harm


def root_page(table: str, at: int) -> Harm:
    """Overwrite the middle of a table's first page."""

    def harm(path: Path) -> None:
        with closing(sqlite3.connect(path)) as db:
            query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
            (page,) = db.execute(query, (table,)).fetchone()
        with open(path, "r+b") as file:
            file.seek((page - 1) * 4096 + at)
            file.write(b"\xff" * 16)

    return harm


def event_leaf(path: Path) -> None:
    """Overwrite the head of the page on which row ROW is."""
    with closing(sqlite3.connect(path)) as db:
        (body,) = db.execute("SELECT hash FROM event WHERE seq = ?", (ROW,)).fetchone()
    content = path.read_bytes()
    page = content.index(body) // 4096
    with open(path, "r+b") as file:
        file.seek(page * 4096)
        file.write(b"\xee" * 8)


def swap_bytes(old: bytes, new: bytes) -> Harm:
    def harm(path: Path) -> None:
        content = path.read_bytes()
        assert old in content
        path.write_bytes(content.replace(old, new))

    return harm


def replace_with(content: bytes) -> Harm:
    def harm(path: Path) -> None:
        path.write_bytes(content)

    return harm


not_written = f"event {ROW}: its row is not what was written"
saved = f"what can be saved: events up to {ROW - 1} are intact; behind them"
all_intact = f"what can be saved: events up to {EVENTS} are intact"

IN_THE_FILE = {
    "at flipped": (sql("UPDATE event SET at = at + 1 WHERE seq = ?", ROW), [not_written, saved]),
    "kind flipped": (
        sql("UPDATE event SET kind = 'vassal_bdded' WHERE seq = ?", ROW),
        [not_written, "there is no such kind", saved],
    ),
    "monitor flipped": (
        sql("UPDATE event SET monitor = 'dir:///etc/vassalz' WHERE seq = ?", ROW),
        [not_written, saved],
    ),
    "vassal flipped": (
        sql("UPDATE event SET vassal = 'bpp.ini' WHERE seq = ?", ROW),
        [not_written, "bpp.ini", saved],
    ),
    "cause flipped": (
        sql("UPDATE event SET cause = 31 WHERE seq = ?", ROW),
        [not_written, "its cause is not before it", saved],
    ),
    "body flipped": (
        sql("UPDATE event SET body = replace(body, '{', '[') WHERE seq = ?", ROW),
        [not_written, "its body is none of that kind", saved],
    ),
    "body no text": (
        sql("UPDATE event SET body = CAST(x'7bff7d' AS TEXT) WHERE seq = ?", ROW),
        [not_written, saved],
    ),
    "body a blob": (
        sql("UPDATE event SET body = CAST(body AS BLOB) WHERE seq = ?", ROW), [not_written, saved]
    ),
    "actions flipped": (
        sql("UPDATE event SET actions = '[' WHERE seq = ?", ROW),
        [not_written, "its actions are not JSON", saved],
    ),
    "hash flipped": (
        sql("UPDATE event SET hash = x'00' || substr(hash, 2) WHERE seq = ?", ROW),
        [f"event {ROW}: its hash is damaged, the rest is intact", saved],
    ),
    "hash of the last row flipped": (
        sql("UPDATE event SET hash = zeroblob(32) WHERE seq = (SELECT max(seq) FROM event)"),
        ["its hash is damaged, the rest is intact"],
    ),
    "cause no text": (
        sql("UPDATE event SET cause = CAST(x'ff' AS TEXT) WHERE seq = ?", ROW), [not_written, saved]
    ),
    "at of a death a text": (
        sql("UPDATE event SET at = '' WHERE seq = (SELECT max(seq) FROM event"
            " WHERE kind = 'exited')"),
        ["its row is not what was written"],
    ),
    "at no text": (
        sql("UPDATE event SET at = CAST(x'ff' AS TEXT) WHERE seq = ?", ROW), [not_written, saved]
    ),
    "hash before the last a number": (
        sql("UPDATE event SET hash = 7 WHERE seq = ?", EVENTS - 1),
        [f"event {EVENTS - 1}: its hash is damaged, the rest is intact"],
    ),
    "at a text": (sql("UPDATE event SET at = 'noon' WHERE seq = ?", ROW), [not_written, saved]),
    "row missing": (
        sql("DELETE FROM event WHERE seq = ?", ROW), [f"event {ROW} is missing", saved]
    ),
    "rows missing": (
        sql("DELETE FROM event WHERE seq BETWEEN ? AND ?", ROW, ROW + 4),
        [f"events {ROW} to {ROW + 4} are missing", saved],
    ),
    "first rows missing": (
        sql("DELETE FROM event WHERE seq < 3"),
        ["events 1 to 2 are missing", "no event is proven"],
    ),
    "tail missing": (
        sql("DELETE FROM event WHERE seq >= ?", ROW),
        [f"events {ROW} to", "are missing at the end", f"events up to {ROW - 1} are intact"],
    ),
    "last row missing": (
        sql("DELETE FROM event WHERE seq = (SELECT max(seq) FROM event)"),
        ["is missing at the end"],
    ),
    "all rows missing": (sql("DELETE FROM event"), ["events 1 to", "no event is proven"]),
    "row added": (
        sql(
            "INSERT INTO event SELECT seq + 1, at + 1, kind, monitor, vassal, cause, body, actions,"
            " hash FROM event ORDER BY seq DESC LIMIT 1"
        ),
        ["behind the chain's head"],
    ),
    "rows swapped": (swap, [not_written, f"event {ROW + 1}: its row", saved]),
    "time runs back": (
        turn_back_the_clock,
        [f"event {ROW}: its time is not after that of the event before", saved],
    ),
    "a body that no daemon wrote": (forge_a_body, [f"event {ROW}: body of"]),
    "a source that is no UTF-8": (
        sql(f"UPDATE event SET monitor = CAST(x'64ff' AS TEXT) WHERE seq = {ROW}"),
        [not_written, saved],
    ),
    "a number for a name": (
        sql(f"UPDATE event SET vassal = x'07' WHERE seq = {ROW}"), [not_written, saved]
    ),
    "head flipped": (
        sql("UPDATE chain SET hash = zeroblob(32) WHERE name = 'head'"), ["the chain's head"]
    ),
    "head missing": (
        sql("DELETE FROM chain WHERE name = 'head'"),
        ["has no row 'head'", f"what can be saved: events up to {EVENTS} are"],
    ),
    "identity flipped": (
        sql("UPDATE chain SET hash = randomblob(32) WHERE name = 'identity'"),
        ["the journal's identity (table chain) is not the hash of event 1", all_intact],
    ),
    "anchor flipped": (
        sql("UPDATE chain SET hash = randomblob(32) WHERE name = 'anchor'"),
        ["event 1: its row is not what was written"],
    ),
    "anchor moved": (
        sql("UPDATE chain SET seq = 7 WHERE name = 'anchor'"),
        ["it begins behind event 7", "the snapshot of that event is missing"],
    ),
    "config changed": (
        sql("UPDATE config SET content = CAST('evil' AS BLOB)"),
        [": the text is not what was deployed; it was deployed in event ", "(app0"],
    ),
    "config missing": (
        sql("DELETE FROM config WHERE digest = (SELECT min(digest) FROM config)"),
        [": the text is missing; it was deployed in event "],
    ),
    "snapshot changed": (
        sql("UPDATE snapshot SET fleet = x'00' WHERE seq = 40"),
        ["snapshot 40: it does not have its checksum"],
    ),
    "snapshot of another event": (
        sql("UPDATE snapshot SET seq = 41 WHERE seq = 40"),
        ["snapshot 41: its hash is not that of event 41"],
    ),
    "snapshot before all events": (
        sql("UPDATE snapshot SET seq = ? WHERE seq = 40", -(2**63)),
        [f"snapshot {-(2**63)}: not behind the chain's anchor", all_intact],
    ),
    "snapshot of no event": (
        sql("UPDATE snapshot SET seq = 4000 WHERE seq = 40"),
        ["snapshot 4000: its hash is not that of event 4000"],
    ),
    "definition changed": (
        swap_bytes(b"TABLE snapshot (\n    seq   INTEGER", b"TABLE snapshot (\n    seq   INTEGES"),
        ["the schema: table snapshot is not defined as it was"]
    ),
    "snapshots without a key": (
        swap_bytes(b"(\n    seq   INTEGER PRIMARY", b"(\n    seq   INTEGER PRIMAVY"),
        ["table snapshot is not defined as it was", "the snapshots have no numbers", all_intact],
    ),
    "events without a key": (
        swap_bytes(b"(\n    seq     INTEGER PRIMARY", b"(\n    seq     INTEGER PRIMAVY"),
        ["table event is not defined as it was"],
    ),
    "no table event": (
        sql("DROP TABLE event"),
        ["the schema: no table event", "how much can be saved is not known"],
    ),
    "no table config": (sql("DROP TABLE config"), ["the schema: no table config", all_intact]),
    "no table snapshot": (
        sql("DROP TABLE snapshot"), ["the schema: no table snapshot", all_intact]
    ),
    "no table chain": (sql("DROP TABLE chain"), ["the schema: no table chain", all_intact]),
    "no table of migrations": (
        sql("DROP TABLE _sqlite_migrations"),
        ["the schema: table _sqlite_migrations is gone", all_intact],
    ),
    "a migration renamed": (
        sql("UPDATE _sqlite_migrations SET name = '0001_recore' WHERE name = '0001_record'"),
        ["the schema: table _sqlite_migrations is gone or does not name all", all_intact],
    ),
    "a migration with a name that is no text": (
        sql("UPDATE _sqlite_migrations SET name = x'ff' WHERE name = '0002_deploys'"),
        ["the schema: table _sqlite_migrations is gone or does not name all", all_intact],
    ),
    "a migration forgotten": (
        sql("DELETE FROM _sqlite_migrations WHERE name = '0001_record'"),
        ["the schema: table _sqlite_migrations is gone or does not name all", all_intact],
    ),
    "no view": (sql("DROP VIEW deploys"), ["the schema: no view deploys", all_intact]),
    "no index": (sql("DROP INDEX event_vassal"), ["the schema: no index event_vassal", all_intact]),
    "a column of events renamed": (
        sql("ALTER TABLE event RENAME COLUMN body TO bodi"),
        ["the schema: table event has no column body", "view deploys is not defined as it was"],
    ),
    "a column of configs renamed": (
        sql("ALTER TABLE config RENAME COLUMN content TO text"),
        ["the schema: table config has no column content", all_intact],
    ),
    "a column of snapshots renamed": (
        sql("ALTER TABLE snapshot RENAME COLUMN fleet TO army"),
        ["the schema: table snapshot has no column fleet", all_intact],
    ),
    "a column of the chain renamed": (
        sql("ALTER TABLE chain RENAME COLUMN seq TO number"),
        ["the schema: table chain has no column seq", all_intact],
    ),
    "a definition that is none": (
        swap_bytes(b"body    TEXT NOT", b"`ody    TEXT NOT"), ["malformed database schema (event)"]
    ),
    "a definition that is no text": (
        swap_bytes(b"cause   INTEGER", b"\xffause   INTEGER"), ["decode", "how much can be saved"]
    ),
    "a column added": (
        sql("ALTER TABLE event ADD COLUMN more"),
        ["the schema: table event is not defined as it was when it was made", all_intact],
    ),
    "a trigger": (
        sql("CREATE TRIGGER t INSERT ON event BEGIN DELETE FROM event WHERE seq = new.seq; END"),
        ["the schema: trigger 't' on 'event' is none of emperord's, and can change", all_intact],
    ),
    "a unique index": (
        sql("CREATE UNIQUE INDEX u ON event (at)"),
        ["the schema: index 'u' on 'event' is none of emperord's, and can change", all_intact],
    ),
    "head a text": (
        sql("UPDATE chain SET seq = 'x' WHERE name = 'head'"), ["no row 'head' with a number"]
    ),
    "anchor a text": (
        sql("UPDATE chain SET seq = 'x' WHERE name = 'anchor'"), ["no row 'anchor' with a number"]
    ),
    "anchor's hash a text": (
        sql("UPDATE chain SET hash = 'x' WHERE name = 'anchor'"), ["no row 'anchor' with a number"]
    ),
    "head beyond all": (
        sql("UPDATE chain SET seq = ? WHERE name = 'head'", 2**63 - 1), ["are missing at the end"]
    ),
    "a page of events": (
        event_leaf, ["the database file: ", "cannot be read: database disk image is malformed"]
    ),
    "the first page of configs": (root_page("config", 0), ["the database file: "]),
    "the first page of the chain": (
        root_page("chain", 0), ["malformed", f"what can be saved: events up to {EVENTS} are"]
    ),
    "cut at half": (cut(lambda file: len(file) // 8192 * 4096), ["malformed"]),
    "cut by a page": (cut(lambda file: len(file) - 4096), ["malformed"]),
    "cut within a page": (cut(lambda file: len(file) - 1000), ["the database file: "]),
    "cut to its first page": (cut(lambda _: 4096), ["malformed"]),
    "cut within its header": (cut(lambda _: 50), ["not an SQLite database"]),
    "magic flipped": (flip_byte(lambda _: 3), ["not an SQLite database"]),
    "page size flipped": (flip_byte(lambda _: 17), ["not an SQLite database"]),
    "empty": (replace_with(b""), ["empty"]),
    "no journal": (replace_with(b"hello, world\n" * 100), ["not an SQLite database"]),
}  # fmt: skip


def refused_by_the_daemon(path: Path) -> str | None:
    try:
        with Journal.open(str(path)) as journal:
            rebuild(journal)
    except JournalError as error:
        return str(error)
    return None
