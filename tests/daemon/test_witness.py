"""``--witness``: the journal's head is written elsewhere, and another journal waits."""

import os
import shutil
import signal
import socket
import stat
import subprocess
from pathlib import Path

import msgspec
import pytest
from emperord.journal.witness import Line, parse
from emperord.replay.verify import lines, verify
from emperord.replay.witnessed import read
from support.kept import Emperor
from support.root import need_root
from support.vassals import SLEEPER
from support.waiting import until

from .conftest import MakeEmperor


def lines_in(witness: Path) -> list[Line]:
    if not witness.exists():
        return []
    found = [parse(text) for text in witness.read_bytes().splitlines()]
    return [line for line in found if line is not None]


def whys(witness: Path) -> list[str]:
    return [line.why for line in lines_in(witness)]


def compared(emperor: Emperor, witness: Path, key: Path | None = None) -> str:
    known = read(str(witness), () if key is None else (str(key),))
    verdict = verify(str(emperor.journal), witness=known)
    return f"{verdict.exit_code}\n" + "\n".join(lines(str(emperor.journal), verdict))


@pytest.fixture
def witness(tmp_path: Path) -> Path:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder / "witness"


@pytest.fixture
def emperor(make_emperor: MakeEmperor, witness: Path) -> Emperor:
    emperor = make_emperor("--witness", str(witness), "--witness-every", "1")
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    return emperor


def test_at_the_start_with_events_and_at_the_stop(emperor: Emperor, witness: Path) -> None:
    emperor.start()
    until(lambda: "start" in whys(witness), "the first line is there")
    emperor.up("a.ini")
    until(lambda: "every" in whys(witness), "another one is there")
    emperor.stop()
    assert whys(witness)[-1] == "stop"
    last = lines_in(witness)[-1]
    assert last.seq == emperor.last_seq()
    assert stat.S_IMODE(witness.stat().st_mode) == 0o600
    seqs = [line.seq for line in lines_in(witness)]
    assert seqs == sorted(set(seqs))
    before = witness.read_bytes()
    emperor.start()
    until(lambda: whys(witness).count("start") == 2, "a restart appends")
    assert witness.read_bytes().startswith(before)
    emperor.stop()
    assert compared(emperor, witness).startswith("0\n")


def test_signed(make_emperor: MakeEmperor, witness: Path, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(key)],
        check=True,
        capture_output=True,
    )
    emperor = make_emperor("--witness", str(witness), "--witness-key", str(key))
    emperor.start()
    emperor.stop()
    assert compared(emperor, witness, key).startswith("0\n")
    changed = msgspec.structs.replace(lines_in(witness)[-1], version="9")
    witness.write_bytes(witness.read_bytes() + changed.encode())
    assert "not signed by the key" in compared(emperor, witness, key)


@pytest.fixture
def rolled_back(emperor: Emperor, witness: Path) -> Emperor:
    """An older copy of the journal is put back while the daemon is down."""
    emperor.start()
    emperor.up("a.ini")
    emperor.stop()
    copy = emperor.folder / "copy.db"
    shutil.copy(emperor.journal, copy)
    (emperor.vassals / "b.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("b.ini")
    emperor.stop()
    shutil.copy(copy, emperor.journal)
    return emperor


def test_a_journal_that_was_put_back_waits_for_an_operator(
    rolled_back: Emperor, witness: Path
) -> None:
    emperor = rolled_back
    known = lines_in(witness)[-1].seq
    emperor.launch()
    said = f"estranged: rewritten or rolled back: this file ends with event {emperor.last_seq()}"
    emperor.until(lambda: said in emperor.log(), "it says so")
    assert f"and event {known} was witnessed" in emperor.log()
    assert emperor.ctl("status").returncode == 3
    assert emperor.running() == []
    os.kill(emperor.pid, signal.SIGTERM)
    assert emperor.wait() == 3


def test_adopt_goes_on_with_it(rolled_back: Emperor, witness: Path) -> None:
    emperor = rolled_back
    seq = emperor.last_seq()
    emperor.launch()
    emperor.until(lambda: "estranged: rewritten" in emperor.log(), "it says so")
    assert emperor.ctl("adopt").returncode == 0
    adopted = emperor.event("journal_adopted", after=seq)
    assert "rewritten or rolled back" in adopted.body["reason"]
    emperor.up("a.ini")
    until(lambda: "adopted" in whys(witness), "the witness knows it")
    emperor.stop()
    assert compared(emperor, witness).startswith("0\n")
    emperor.start()
    emperor.stop()
    assert emperor.log().count("emperor: estranged: ") == 1


def test_a_witness_that_is_gone_is_said_and_delays_nothing(
    make_emperor: MakeEmperor, tmp_path: Path
) -> None:
    emperor = make_emperor("--witness", str(tmp_path / "not" / "there"))
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("a.ini")
    emperor.until(lambda: "does not take the journal's head: No such file" in emperor.log(), "said")
    status = emperor.ctl("status")
    assert status.returncode == 3
    assert "no witness" in status.stdout
    emperor.stop()
    assert "did not get the last event" in emperor.log()


def test_a_command_that_hangs_delays_nothing(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = tmp_path / "hangs"
    script.write_text(f"#!/bin/sh\necho $$ > {pid}\nexec sleep 600\n")
    script.chmod(0o700)
    emperor = make_emperor("--witness", f"cmd:{script}")
    (emperor.vassals / "a.ini").write_text(SLEEPER)
    emperor.start()
    emperor.up("a.ini")
    until(lambda: pid.exists() and pid.read_text() != "", "the command runs")
    emperor.stop()
    assert "did not get the last event: it took more than 1 s" in emperor.log()
    until(lambda: not Path(f"/proc/{pid.read_text()}").exists(), "the command was ended")


def test_a_command_gets_each_line(make_emperor: MakeEmperor, witness: Path) -> None:
    emperor = make_emperor("--witness", f"cmd:sh -c 'cat >> {witness}'")
    emperor.start()
    emperor.stop()
    assert whys(witness) == ["start", "stop"]
    assert compared(emperor, witness).startswith("0\n")


# A /dev of its own, with the socket of a syslog in it, for the daemon and its vassals.
OWN_DEV = """
mount -t tmpfs none "$1"
for each in null zero full random urandom tty; do
    : > "$1/$each"
    mount --bind "/dev/$each" "$1/$each"
done
ln -s /proc/self/fd "$1/fd"
mkdir "$1/shm" "$1/pts"
: > "$1/log"
mount --bind "$2" "$1/log"
mount --rbind "$1" /dev
shift 2
exec "$@"
"""


def test_syslog_gets_each_line(make_emperor: MakeEmperor, tmp_path: Path) -> None:
    need_root("mount a /dev of its own")
    dev, log = tmp_path / "dev", tmp_path / "log"
    dev.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        syslog.bind(str(log))
        syslog.settimeout(20)
        before = ("unshare", "--mount", "sh", "-ec", OWN_DEV, "sh", str(dev), str(log))
        emperor = make_emperor("--witness", "syslog", before=before)
        emperor.start()
        lines = [syslog.recv(65_536)]
        emperor.stop()
        lines.append(syslog.recv(65_536))
    assert all(line.startswith(b"<29>emperor-witness[") for line in lines), lines
    logged = tmp_path / "syslog"
    logged.write_bytes(b"".join(b"Nov 24 06:00:00 host " + line[4:] + b"\n" for line in lines))
    assert whys(logged) == ["start", "stop"]
    assert lines_in(logged)[-1].seq == emperor.last_seq()
    assert compared(emperor, logged).startswith("0\n")
    assert "not compared with its witness, which cannot be read back" in emperor.log()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--witness", "cmd:"), "cmd: needs a command"),
        (("--witness-key", "k.pem"), "--witness-key signs what --witness writes"),
        (("--witness-every", "10m"), "--witness-every says how often --witness writes"),
        (("--witness", "w", "--witness-every", "0"), "--witness-every"),
        (("--log", "inherit", "--log-directory", "l"), "--log-directory is for --log files"),
        (("--log", "inherit", "--log-size", "1M"), "--log-size is for --log files"),
        (("--log", "inherit", "--log-keep", "3"), "--log-keep is for --log files"),
    ],
    ids=[
        "no command",
        "a key alone",
        "a time alone",
        "never",
        "no logs",
        "size of no logs",
        "parts of no logs",
    ],
)
def test_options_that_make_no_sense(
    make_emperor: MakeEmperor, options: tuple[str, ...], says: str
) -> None:
    emperor = make_emperor(*options)
    emperor.launch()
    assert emperor.wait() == 2
    assert says in emperor.log()
