"""``verify --witness``: a past that was rewritten as a whole, or put back, is found."""

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from emperord.journal.reading import open_journal
from emperord.journal.signatures import signer
from emperord.journal.witness import Why, line_of
from journal_builder import Builder, building
from support.replaying import asking
from support.rewriting import rewrite

WITNESSED = (6, 12, 16)  # events whose heads a witness has
OLD, NEW = b"[uwsgi]\nold = 1\n", b"[uwsgi]\nnew = 1\n"


def history(builder: Builder) -> None:
    builder.start()  # 1, 2
    builder.up("a.ini", OLD)  # 3 to 5
    builder.event("monitor_failed", None, "pg://db", reason="refused")  # 6
    builder.event("monitor_recovered", None, "pg://db")  # 7
    builder.exited("a.ini", code=1, log="ImportError")  # 8
    deadline = builder.fleet.vassals["a.ini"].deadline
    assert deadline is not None
    builder.event("deadline_passed", "a.ini", deadline=deadline)  # 9
    builder.spawned("a.ini", 4001)  # 10
    builder.accepting("a.ini")  # 11
    builder.removed("a.ini")  # 12
    builder.exited("a.ini", code=0)  # 13
    builder.up("b.ini", OLD)  # 14 to 16
    builder.event("daemon_stopped")  # 17


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    with building(str(path)) as builder:
        history(builder)
    return path


def witness_of(path: Path, *seqs: int, why: Why = "every", key: Path | None = None) -> Path:
    """The lines that a daemon would have written."""
    file = path.with_name("witness")
    sign = None if key is None else signer(str(key))
    with open_journal(str(path)) as reader, file.open("ab") as lines:
        identity = reader.hash_of(1)
        assert identity is not None
        for seq in seqs:
            row = reader.row(seq)
            assert row is not None
            lines.write(line_of(identity, seq, row[8], row[1], "0.2.0", why, sign).encode())
    return file


def body_changed(path: Path) -> None:
    rewrite(path, "UPDATE event SET body = replace(body, 'ImportError', 'KeyError') WHERE seq = 8")


def time_changed(path: Path) -> None:
    rewrite(path, "UPDATE event SET at = at + 1 WHERE seq = 7")


def text_changed(path: Path) -> None:
    old, new = hashlib.sha256(OLD).hexdigest(), hashlib.sha256(NEW).hexdigest()
    rewrite(
        path,
        f"UPDATE config SET digest = '{new}', content = x'{NEW.hex()}' WHERE digest = '{old}'",
        f"UPDATE event SET body = replace(body, '{old}', '{new}')",
        f"UPDATE event SET actions = replace(actions, '{old}', '{new}')",
        f"UPDATE deploy SET previous = '{new}' WHERE previous = '{old}'",
    )


def tail_cut(path: Path) -> None:
    rewrite(path, "DELETE FROM event WHERE seq > 13", "DELETE FROM deploy WHERE seq > 13")


def older_copy_alone(path: Path) -> None:
    """A copy from before event 13 is put back."""
    rewrite(path, "DELETE FROM event WHERE seq > 12", "DELETE FROM deploy")


def older_copy(path: Path) -> None:
    """A copy from before event 13 is put back, and a daemon goes on with it."""
    older_copy_alone(path)
    with building(str(path)) as builder:
        builder.at += 3600 * 10**9
        builder.exited("a.ini", code=2)
        builder.up("c.ini")
        builder.up("d.ini")


run = asking("verify")


REWRITTEN = "has the time that was witnessed, so its past was rewritten"
ATTACKS = [
    (body_changed, "this file has another event 12", 6, REWRITTEN),
    (time_changed, "this file has another event 12", 6, REWRITTEN),
    (text_changed, "this file has another event 6", 0, REWRITTEN),
    (
        tail_cut,
        "this file ends with event 13, and event 16 was witnessed",
        12,
        "its tail was cut, or an older copy was put back",
    ),
    (
        older_copy_alone,
        "this file ends with event 12, and event 16 was witnessed",
        12,
        "an older copy was put back: it ends with event 12, which was witnessed",
    ),
    (older_copy, "this file has another event 16", 12, "so a daemon went on with an older copy"),
]


@pytest.mark.parametrize(
    ("attack", "found", "proven", "how"), ATTACKS, ids=[row[0].__name__ for row in ATTACKS]
)
def test_each_attack_verifies_alone_and_not_by_its_witness(
    path: Path, attack: Callable[[Path], None], found: str, proven: int, how: str
) -> None:
    witness = witness_of(path, *WITNESSED)
    attack(path)
    assert run(path).exit_code == 0, run(path).output
    result = run(path, "--witness", str(witness))
    assert result.exit_code == 3
    assert f"rewritten or rolled back: {found} (line " in result.stdout
    known = f"up to event {proven} it is as witnessed" if proven else "none is as witnessed"
    assert f"{known}; " in result.stdout
    assert how in result.stdout
    by_pipe = run(path, "--witness", "-", given=witness.read_bytes())
    assert by_pipe.exit_code == 3
    assert found in by_pipe.stdout


def test_a_journal_that_its_witness_knows(path: Path) -> None:
    witness = witness_of(path, *WITNESSED)
    result = run(path, "--witness", str(witness))
    assert result.exit_code == 0, result.output
    assert "3 lines of" in result.stdout
    assert "the last is of event 16, and 1 events behind it are not witnessed" in result.stdout


def test_lines_of_syslog(path: Path) -> None:
    witness = witness_of(path, *WITNESSED)
    logged = b"".join(
        b"Nov 24 06:00:00 host emperor-witness[7]: " + line + b"\n"
        for line in witness.read_bytes().splitlines()
    )
    assert run(path, "--witness", "-", given=logged).exit_code == 0
    body_changed(path)
    assert run(path, "--witness", "-", given=logged).exit_code == 3


def test_a_line_that_was_cut_is_passed_over(path: Path) -> None:
    witness = witness_of(path, *WITNESSED)
    witness.write_bytes(witness.read_bytes()[:-20])
    result = run(path, "--witness", str(witness))
    assert result.exit_code == 0
    assert "1 lines of" in result.stdout
    assert "the last is of event 12" in result.stdout


@pytest.mark.parametrize("content", [b"", b"nothing\n"], ids=["empty", "no line"])
def test_a_witness_that_knows_nothing_is_no_proof(path: Path, content: bytes) -> None:
    result = run(path, "--witness", "-", given=content)
    assert result.exit_code == 3
    assert "has no line that can be read: nothing is compared" in result.stdout


def test_a_witness_that_is_not_there(path: Path, tmp_path: Path) -> None:
    result = run(path, "--witness", str(tmp_path / "gone"))
    assert (result.exit_code, "cannot be read: No such file" in result.stderr) == (3, True)


def test_an_adoption_that_the_witness_knows(path: Path) -> None:
    """Lines of the lost journal are notes, once a line of the daemon says that it was adopted."""
    witness = witness_of(path, *WITNESSED)
    older_copy(path)
    witness_of(path, 17, why="adopted")
    result = run(path, "--witness", str(witness))
    assert result.exit_code == 0, result.output
    assert "does not fit: this file has another event 16; a later line says" in result.stdout
    body_changed(path)
    assert run(path, "--witness", str(witness)).exit_code == 3


@pytest.fixture
def key(tmp_path: Path) -> Path:
    key = tmp_path / "key.pem"
    make = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(key)]
    subprocess.run(make, check=True, capture_output=True)
    return key


def test_signed_lines(path: Path, key: Path, tmp_path: Path) -> None:
    public = tmp_path / "public.pem"
    subprocess.run(
        ["openssl", "pkey", "-in", str(key), "-pubout", "-out", str(public)],
        check=True,
        capture_output=True,
    )
    witness = witness_of(path, *WITNESSED, key=key)
    assert run(path, "--witness", str(witness), "--witness-key", str(public)).exit_code == 0
    assert (
        "signatures of the witness are not checked" in run(path, "--witness", str(witness)).stdout
    )
    # A rewritten journal and lines to fit it, but without the key.
    body_changed(path)
    shutil.move(witness, tmp_path / "former")
    forged = witness_of(path, *WITNESSED)
    assert run(path, "--witness", str(forged)).exit_code == 0
    result = run(path, "--witness", str(forged), "--witness-key", str(key))
    assert result.exit_code == 3
    assert "line 1 and 2 more of" in result.stdout
    assert "not signed by the key" in result.stdout


def test_a_key_that_was_replaced(path: Path, key: Path, tmp_path: Path) -> None:
    former = tmp_path / "former.pem"
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(former)],
        check=True,
        capture_output=True,
    )
    witness_of(path, *WITNESSED[:1], key=former)
    witness = witness_of(path, *WITNESSED[1:], key=key)
    told = ("--witness", str(witness), "--witness-key", str(key))
    result = run(path, *told)
    assert result.exit_code == 3
    assert "if the key was replaced, give the former one by --witness-key" in result.stdout
    result = run(path, *told, "--witness-key", str(former))
    assert (result.exit_code, "not signed" in result.stdout) == (0, False), result.stdout
    # A line without a signature is one of no key.
    witness_of(path, *WITNESSED[:1])
    result = run(path, *told, "--witness-key", str(former))
    assert result.exit_code == 3
    assert "nor by another one, so anybody can have written it" in result.stdout


def test_a_line_that_was_changed_is_not_signed_any_more(path: Path, key: Path) -> None:
    witness = witness_of(path, *WITNESSED, key=key)
    witness.write_bytes(witness.read_bytes().replace(b'"seq":16', b'"seq":17'))
    result = run(path, "--witness", str(witness), "--witness-key", str(key))
    assert result.exit_code == 3
    assert "line 3 of" in result.stdout


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "cannot be read: No such file"), ("no key", "no key of Ed25519 in PEM")],
    ids=["missing", "no key"],
)
def test_a_key_that_cannot_be_used(
    path: Path, tmp_path: Path, content: str | None, says: str
) -> None:
    key = tmp_path / "key.pem"
    if content is not None:
        key.write_text(content)
    witness = witness_of(path, *WITNESSED)
    result = run(path, "--witness", str(witness), "--witness-key", str(key))
    assert result.exit_code == 3
    assert says in result.stderr
    assert run(path, "--witness-key", str(key)).exit_code == 2
