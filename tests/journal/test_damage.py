"""Each kind of damage has a generator here, is found, and is named.

The generators work on a closed journal or on what a killed daemon left, as the real thing does:
by SQL, by bytes of the file, by whole files.
"""

import shutil
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from emperord.daemon.main import rebuild
from emperord.journal import chain
from emperord.journal.errors import JournalError
from emperord.journal.reading import open_journal
from emperord.journal.store import Journal
from emperord.replay.main import cli
from emperord.replay.verify import verify
from journal_builder import Builder, building, busy_fleet
from support.effort import examples

EVENTS = 60
ROW = 30  # the row that is harmed where one is
Harm = Callable[[Path], None]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pristine") / "journal.db"
    with building(str(path), snapshot_every=20) as builder:
        busy_fleet(builder, EVENTS, 4)
    return path


@pytest.fixture(scope="module")
def left_behind(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three files of a journal whose daemon was killed, everything still in the log."""
    folder = tmp_path_factory.mktemp("left")
    with Journal.open(str(folder / "at-work.db")) as journal:
        busy_fleet(Builder(journal, snapshot_every=20), EVENTS, 4)
        for suffix in ("", "-wal", "-shm"):
            shutil.copy(f"{journal.path}{suffix}", folder / f"journal.db{suffix}")
    return folder / "journal.db"


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
    """Change a row and make the chain fit again, as somebody who knows how it is made would."""
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
        [f"snapshot {-(2**63)}: its hash is not that of event", all_intact],
    ),
    "snapshot of no event": (
        sql("UPDATE snapshot SET seq = 4000 WHERE seq = 40"),
        ["snapshot 4000: its hash is not that of event 4000"],
    ),
    "definition changed": (
        swap_bytes(b"TABLE snapshot (\n    seq   INTEGER", b"TABLE snapshot (\n    seq   INTEGES"),
        ["the schema: table snapshot is not defined as it was"]
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


@pytest.mark.parametrize(("harm", "says"), IN_THE_FILE.values(), ids=IN_THE_FILE.keys())
def test_damage_to_the_file(pristine: Path, tmp_path: Path, harm: Harm, says: list[str]) -> None:
    path = tmp_path / "journal.db"
    shutil.copy(pristine, path)
    assert run_verify(path)[0] == 0
    harm(path)
    code, text = run_verify(path)
    assert code == 3, text
    for part in says:
        assert part in text


COMMANDS = (
    ["state"], ["history"], ["events"], ["why", "app000.ini"], ["why", "app002.ini"],
    ["show", "app000.ini"], ["diff", "app000.ini"], ["state", "--json"], ["history", "--json"],
    ["events", "--json"], ["state", "--at", "2026-11-24T06:00:20Z"], ["why", "ap000.ini"],
)  # fmt: skip


def refused_by_the_daemon(path: Path) -> str | None:
    try:
        with Journal.open(str(path)) as journal:
            rebuild(journal)
    except JournalError as error:
        return str(error)
    return None


@pytest.mark.few(20)
@pytest.mark.parametrize("harm", [harm for harm, _ in IN_THE_FILE.values()], ids=IN_THE_FILE)
def test_no_damage_is_a_traceback_to_anybody(pristine: Path, tmp_path: Path, harm: Harm) -> None:
    """The other commands say one line and exit with 3, or tell what they can read."""
    path = tmp_path / "journal.db"
    shutil.copy(pristine, path)
    harm(path)
    for command in COMMANDS:
        result = CliRunner().invoke(cli, ["--journal", str(path), *command])
        assert result.exception is None or isinstance(result.exception, SystemExit), command
        assert result.exit_code in (0, 1, 3), command
        complaint = result.stderr.splitlines()
        assert len(complaint) == 1 or (not complaint and result.exit_code == 0), result.stderr
    refusal = refused_by_the_daemon(path)
    assert refusal is None or (str(path) in refusal and "\n" not in refusal)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("CREATE TABLE notes (text)", "table 'notes' is none of emperord's"),
        ("CREATE VIEW people AS SELECT vassal FROM event", "view 'people' is none of emperord's"),
        ("CREATE INDEX kinds ON event (kind)", "index 'kinds' is none of emperord's"),
        ("PRAGMA user_version = 7", "somebody set its user_version to 7; emperord leaves it 0"),
    ],
    ids=["table", "view", "index", "user_version"],
)
def test_what_somebody_added_is_a_note(
    pristine: Path, tmp_path: Path, statement: str, said: str
) -> None:
    path = tmp_path / "journal.db"
    shutil.copy(pristine, path)
    sql(statement)(path)
    code, text = run_verify(path)
    assert code == 0
    assert f"  note: {said}\n" in text
    Journal.open(str(path)).close()


def frame(number: int, offset: int) -> Callable[[bytes], int]:
    return lambda _: 32 + (number - 1) * (24 + 4096) + offset


def last_commit(log: bytes) -> int:
    """Where the last frame that ends a transaction begins."""
    return max(
        start
        for start in range(32, len(log) - 24, 24 + 4096)
        if struct.unpack_from(">I", log, start + 4)[0]
    )


def without_index(harm: Harm) -> Harm:
    def both(path: Path) -> None:
        Path(f"{path}-shm").unlink()
        harm(path)

    return both


IN_THE_LOG = {
    "a page in a frame": (
        flip_byte(frame(60, 500), "-wal"), ["frame 60 of the write-ahead log is damaged"]
    ),
    "a frame's header": (
        flip_byte(frame(60, 2), "-wal"), ["frame 60 of the write-ahead log is damaged"]
    ),
    "a frame's salt": (
        flip_byte(frame(60, 9), "-wal"), ["frame 60 of the write-ahead log is damaged"]
    ),
    "the header": (flip_byte(lambda _: 25, "-wal"), ["the header of the write-ahead log"]),
    "the last frame": (
        flip_byte(lambda log: last_commit(log) + 100, "-wal"),
        ["of the write-ahead log is damaged", "lost power"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("index", [True, False], ids=["with its index", "without"])
@pytest.mark.parametrize(("harm", "says"), IN_THE_LOG.values(), ids=IN_THE_LOG.keys())
def test_damage_to_the_log(
    left_behind: Path, tmp_path: Path, harm: Harm, says: list[str], index: bool
) -> None:
    path = tmp_path / "journal.db"
    for suffix in ("", "-wal", "-shm") if index else ("", "-wal"):
        shutil.copy(f"{left_behind}{suffix}", f"{path}{suffix}")
    assert run_verify(path)[0] == 0
    harm(path)
    code, text = run_verify(path)
    assert code == 3, text
    for part in (*says, "what can be saved: "):
        assert part in text


@pytest.mark.parametrize("index", [True, False], ids=["with its index", "without"])
@pytest.mark.parametrize(
    "harm", [harm for harm, _ in list(IN_THE_LOG.values())[:4]], ids=list(IN_THE_LOG)[:4]
)
def test_no_daemon_writes_over_what_it_cannot_read_in_the_log(
    left_behind: Path, tmp_path: Path, harm: Harm, index: bool
) -> None:
    """It would go on from an older event, start what runs already, and destroy the rest."""
    path = tmp_path / "journal.db"
    for suffix in ("", "-wal", "-shm") if index else ("", "-wal"):
        shutil.copy(f"{left_behind}{suffix}", f"{path}{suffix}")
    harm(path)
    before = Path(f"{path}-wal").read_bytes()
    refusal = refused_by_the_daemon(path) or "not refused"
    assert "of the write-ahead log is damaged" in refusal
    assert "copy the journal away" in refusal
    assert Path(f"{path}-wal").read_bytes() == before
    _, _, way_out = refusal.partition(f"sqlite3 {path} ")
    sql(way_out.strip("'"))(path)
    assert refused_by_the_daemon(path) is None


def test_a_last_transaction_that_a_power_failure_may_have_torn_is_done_without(
    left_behind: Path, tmp_path: Path
) -> None:
    path = tmp_path / "journal.db"
    shutil.copy(left_behind, path)
    shutil.copy(f"{left_behind}-wal", f"{path}-wal")
    flip_byte(lambda log: last_commit(log) + 100, "-wal")(path)
    assert refused_by_the_daemon(path) is None
    with open_journal(str(path)) as reader:
        assert reader.head.seq == EVENTS - 1


def test_a_log_cut_between_transactions_is_found_by_its_index(
    left_behind: Path, tmp_path: Path
) -> None:
    path = tmp_path / "journal.db"
    for suffix in ("", "-wal", "-shm"):
        shutil.copy(f"{left_behind}{suffix}", f"{path}{suffix}")
    cut(last_commit, "-wal")(path)
    code, text = run_verify(path)
    assert code == 3
    assert "the write-ahead log breaks off at frame" in text


def test_a_transaction_that_was_never_finished_is_a_note(left_behind: Path, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    for suffix in ("", "-wal"):
        shutil.copy(f"{left_behind}{suffix}", f"{path}{suffix}")
    cut(lambda log: last_commit(log) + 1000, "-wal")(path)
    code, text = run_verify(path)
    assert code == 0, text
    assert "verified" in text
    assert "note: the write-ahead log ends with an unfinished transaction" in text


def test_what_is_damaged_twice_is_told_twice_and_counted(pristine: Path, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    shutil.copy(pristine, path)
    sql("UPDATE event SET body = body || ' ' WHERE seq IN (11, 21)")(path)
    sql("UPDATE config SET content = x'00'")(path)
    found = verify(str(path)).audit
    seqs = [finding.seq for finding in found.findings if finding.seq is not None]
    assert seqs == [11, 21]
    assert found.intact_to == 10
    with open_journal(str(path)) as reader:
        assert found.behind == reader.head.seq - 12
    assert found.count > 2


def test_very_much_damage_is_told_in_part(pristine: Path, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    shutil.copy(pristine, path)
    sql("UPDATE event SET body = body || ' '")(path)
    code, text = run_verify(path)
    assert code == 3
    assert text.count("its row is not what was written") == 20
    assert "more like these" in text


def contents(path: Path) -> tuple[object, ...]:
    """All that a reader can learn from a journal."""
    with open_journal(str(path)) as reader:
        rows = list(reader.rows())
        texts = reader.db.execute("SELECT * FROM config ORDER BY digest").fetchall()
        snapshots = reader.db.execute("SELECT * FROM snapshot ORDER BY seq").fetchall()
        return rows, texts, snapshots, reader.anchor, reader.head


def verdict(path: Path) -> int:
    try:
        return verify(str(path)).exit_code
    except JournalError:
        return 3


@pytest.mark.search
def test_no_byte_can_be_flipped_unseen(pristine: Path, tmp_path: Path) -> None:
    """Either it is found, or it is one that no reader ever looks at."""
    path = tmp_path / "journal.db"
    original = pristine.read_bytes()
    expected = contents(pristine)
    found = unseen = 0
    for offset in range(0, len(original), len(original) // examples(600) | 1):
        harmed = bytearray(original)
        harmed[offset] ^= 1 << offset % 8
        path.write_bytes(harmed)
        code = verdict(path)
        if code == 0:
            unseen += 1
            assert contents(path) == expected, f"byte {offset}"
        else:
            assert code == 3, f"byte {offset}"
            found += 1
    assert found > unseen / 4, "most of what was flipped was not in use"
