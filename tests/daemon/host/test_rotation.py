"""Logs that are rotated: by logrotate as the shipped file has it, by a rename, and our own."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from support import warm
from support.daemon import Daemon
from support.kept import Emperor
from support.tyrant import ALICE, ALICES, common_ground
from support.vassals import program

from ..conftest import MakeDaemon

SHIPPED = Path(__file__).resolve().parents[3] / "docs" / "emperor.logrotate"
# Wherever the tests' own Python is, that user may read it.
AS_ALICE = ("setpriv", f"--reuid={ALICE}", f"--regid={ALICES}", "--clear-groups",
            "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")  # fmt: skip
COUNTS = program("sh", "-c", "n=0; while :; do n=$((n+1)); echo line $n; sleep 0.02; done")


def status(daemon: Daemon) -> dict[str, Any]:
    """The JSON of ``emperor-ctl status``."""
    control = f"{daemon.journal}.sock"
    ctl = [sys.executable, "-P", "-m", "emperord.daemon.ctl", "--control", control]
    asked = warm.run([*ctl, "status", "--json"], daemon.environ)
    told: dict[str, Any] = json.loads(asked.stdout)
    return told


def rotate(folder: Path, stanza: str, log: str, pid: int = 0) -> None:
    """Have logrotate do now what a stanza of the shipped file says, for this log.

    Debian's /etc/logrotate.conf begins with ``create``. The signal goes to ``pid``.
    """
    text = SHIPPED.read_text()
    rules = text[text.index(stanza) :].partition("{")[2].partition("}")[0]
    systemctl = "systemctl kill --kill-whom=main --signal=USR1 emperord.service"
    rules = rules.replace(systemctl, f"kill -USR1 {pid}")
    config = folder / "logrotate.conf"
    config.write_text(f"create\n{log} {{{rules}}}")
    config.chmod(0o600)
    tool = shutil.which("logrotate") or "/usr/sbin/logrotate"
    state = ["--state", str(folder / "logrotate.state")]
    subprocess.run([tool, "--force", *state, str(config)], check=True)


def test_the_shipped_logrotate_file_loses_no_log(daemon: Daemon) -> None:
    (daemon.vassals / "a.ini").write_text(COUNTS)
    daemon.start()
    daemon.until(lambda: "line 5\n" in daemon.vassal_log("a.ini"), "it writes")
    rotate(daemon.folder, "/var/log/emperord/journal.db.logs/*.log", f"{daemon.logs}/*.log")
    (older,) = daemon.logs.glob("a.ini.log-*.gz")
    assert subprocess.check_output(["zcat", str(older)]).startswith(b"line 1\nline 2\n")
    daemon.until(lambda: "line" in daemon.vassal_log("a.ini"), "it goes on at the new end")
    assert "\0" not in daemon.vassal_log("a.ini")
    assert not daemon.vassal_log("a.ini").startswith("line 1\n")
    daemon.stop()


def test_a_renamed_log_is_noticed_and_new_at_the_next_start(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    (daemon.vassals / "a.ini").write_text(COUNTS)
    daemon.start()
    daemon.until(lambda: "line 1\n" in daemon.vassal_log("a.ini"), "it writes")
    log, renamed = daemon.logs / "a.ini.log", daemon.logs / "a.ini.log.old"
    log.rename(renamed)
    log.touch()  # as logrotate's "create" does
    daemon.until(lambda: status(daemon)["renamed_logs"] == {"a.ini": str(renamed)}, "status")
    assert f"a.ini: its log was renamed, and it writes to {renamed} until" in daemon.log()
    assert [each["what"] for each in status(daemon)["attention"]] == ["log renamed"]
    daemon.kill()
    daemon.start()  # a new daemon finds that out for itself
    daemon.until(lambda: status(daemon)["renamed_logs"] == {"a.ini": str(renamed)}, "status")
    assert log.read_bytes() == b""
    os.kill(daemon.pid_of("a.ini"), signal.SIGKILL)
    died = daemon.event("exited", "a.ini")
    assert died.body["log"].splitlines()[-1] == renamed.read_text().splitlines()[-1]
    daemon.until(lambda: "line 1\n" in daemon.vassal_log("a.ini"), "it writes to a new one")
    daemon.until(lambda: not status(daemon)["renamed_logs"], "status")
    daemon.stop()


def test_a_removed_directory_of_logs_is_made_anew_at_the_next_start(daemon: Daemon) -> None:
    (daemon.vassals / "a.ini").write_text(COUNTS)
    daemon.start()
    daemon.until(lambda: "line 1\n" in daemon.vassal_log("a.ini"), "it writes")
    shutil.rmtree(daemon.logs)
    daemon.until(lambda: "a.ini: its log was removed, so its lines are lost" in daemon.log(), "log")
    os.kill(daemon.pid_of("a.ini"), signal.SIGKILL)
    daemon.event("spawned", "a.ini", count=2)
    daemon.until(lambda: "line 1\n" in daemon.vassal_log("a.ini"), "it writes to a new one")
    assert daemon.logs.stat().st_mode & 0o777 == 0o750
    daemon.stop()


def test_a_log_that_root_made_for_a_daemon_of_another_user() -> None:
    """systemd opens it as root (StandardError=append:), and so does what starts this one."""
    with common_ground() as folder, Emperor(folder, before=AS_ALICE) as emperor:
        os.chown(folder, ALICE, ALICES)
        emperor.start()
        log = folder / "daemon.log"
        assert log.stat().st_uid == 0
        emperor.until(lambda: log.stat().st_size, "it has logged")  # an empty log is not rotated
        assert emperor.process is not None
        rotate(folder, "/var/log/emperord/emperor.log", str(log), emperor.process.pid)
        emperor.until(lambda: log.exists() and "the fleet" in log.read_text(), "it is reopened")
        assert log.stat().st_uid == ALICE
        assert status(emperor)["attention"] == []

        log.rename(renamed := folder / "renamed.log")
        (told,) = status(emperor)["attention"]
        assert (told["what"], told["reason"]) == (
            "own log",
            f"it was renamed, so it is not written to {log}; send USR1",
        )
        log.touch(0o644)  # as logrotate's "create" does
        emperor.send(signal.SIGUSR1)
        emperor.until(lambda: "the fleet as it is" in renamed.read_text(), "it has tried")
        (told,) = status(emperor)["attention"]
        assert told["reason"].startswith(f"it is not written to {log}, because this user may not")
        assert renamed.read_text().count("the log cannot be reopened") == 1
        assert log.read_text() == ""
        emperor.stop()


def test_daemon_and_keeper_reopen_their_log(emperor: Emperor) -> None:
    emperor.start()
    log, renamed = emperor.folder / "daemon.log", emperor.folder / "daemon.log.1"
    log.rename(renamed)
    emperor.send(signal.SIGUSR1)
    emperor.until(lambda: "SIGUSR1: the fleet as it is" in emperor.log(), "the daemon reopened it")
    assert "the fleet as it is" not in renamed.read_text()
    assert log.stat().st_mode == renamed.stat().st_mode
    log.rename(renamed)
    # The next daemon is born with the renamed one.
    after = emperor.last_seq()
    emperor.kill_daemon()
    emperor.event("daemon_ready", after=after)
    emperor.send(signal.SIGUSR1)
    emperor.until(lambda: "SIGUSR1: the fleet as it is" in emperor.log(), "the next one too")
    emperor.kill_daemon()
    emperor.until(lambda: "emperor.keeper: the daemon ended" in emperor.log(), "and the keeper")
    emperor.stop()
