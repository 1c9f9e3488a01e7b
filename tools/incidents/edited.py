"""An intruder edits the journal, in five ways that verify alone; a witness finds each.

Three vassals run, and the daemon stops: ``state/older.db`` is a copy from then. In the second run
``shop.ini`` gets a release that dies with exit code 3, an operator stops ``mail.ini``, and another
release repairs ``shop.ini``. ``state/whole.db`` is a copy from the end of it, ``state/part.db`` one
that was made meanwhile, without its ``-wal``.

The forged copies fold to what they say. ``body.db`` has another exit code, ``time.db`` another time
of the stop, and ``text.db`` another text with its digest. ``tail.db`` ends before the repair.
``row.db`` and ``content.db`` were edited without knowledge of the chain. Then the older copy is put
back as ``journal.db``, and the next daemon finds it. ``witness`` has the witness.
"""

import hashlib
import shutil
import signal
from pathlib import Path
from typing import Any

from support.kept import Emperor
from support.rewriting import forge, run_sql
from support.vassals import shell

_NAMES = ("cron.ini", "mail.ini", "shop.ini")
_GOOD = shell(": release 1; exec sleep 1000")
_BAD = shell('echo "release 2 has no license" >&2; exit 3')
_EDITED = shell('echo "release 2 was never here" >&2; exit 3')
_REPAIRED = shell(": release 3; exec sleep 1000")


def make(folder: Path) -> dict[str, Any]:
    """Make the incident in a folder."""
    witness = folder / "witness"
    with Emperor(folder, "--freq", "0.2", "--witness", str(witness)) as emperor:
        for name in _NAMES:
            emperor.put(name, _GOOD)
        emperor.start()
        emperor.up(*_NAMES)
        emperor.stop()
        state = emperor.state
        shutil.copy(emperor.journal, state / "older.db")
        emperor.start()
        shutil.copy(emperor.journal, state / "part.db")
        death, stop, change, repair = _second_run(emperor)
        emperor.stop()
        shutil.copy(emperor.journal, state / "whole.db")
        _edit(state, death, stop, repair)
        shutil.copy(state / "older.db", emperor.journal)
        emperor.launch()
        emperor.until(lambda: "estranged: rewritten or rolled back" in emperor.log(), "it is found")
        emperor.send(signal.SIGTERM)
        assert emperor.wait() == 3
    seqs = {"death": death, "stop": stop, "change": change, "repair": repair}
    return {**seqs, "text": _BAD, "edited": _EDITED}


def _second_run(emperor: Emperor) -> tuple[int, int, int, int]:
    """A bad release, a stop, a repair; the events of the death, the stop and both releases."""
    after = emperor.last_seq()
    emperor.put("shop.ini", _BAD)
    change = emperor.event("vassal_changed", "shop.ini", after=after)
    death = emperor.event("exited", "shop.ini", after=after)
    while death.body.get("code") != 3:  # the first is the end of release 1
        death = emperor.event("exited", "shop.ini", after=death.seq)
    done = emperor.ctl("stop", "mail.ini", "--reason", "the queue is full")
    assert done.returncode == 0, done.stderr
    stop = emperor.event("operator_requested", "mail.ini", after=after)
    after = emperor.last_seq()
    emperor.put("shop.ini", _REPAIRED)
    repair = emperor.event("vassal_changed", "shop.ini", after=after)
    emperor.event("spawned", "shop.ini", after=repair.seq)
    return death.seq, stop.seq, change.seq, repair.seq


def _edit(state: Path, death: int, stop: int, repair: int) -> None:
    """Make the edited copies."""
    code = f"""UPDATE event SET body = replace(body, '"code":3', '"code":0') WHERE seq = {death}"""
    texts = (_BAD, _EDITED, _REPAIRED)
    old, new, repaired = (hashlib.sha256(text.encode()).hexdigest() for text in texts)
    content = f"content = CAST(x'{_EDITED.encode().hex()}' AS BLOB)"
    # Half way between its time and that of the event before.
    before = f"(SELECT at FROM event WHERE seq = {stop - 1})"
    earlier = f"UPDATE event SET at = (at + {before}) / 2 WHERE seq = {stop}"
    forged = {
        "body": [code],
        "time": [earlier],
        "text": [
            f"UPDATE config SET digest = '{new}', {content} WHERE digest = '{old}'",
            f"UPDATE event SET body = replace(body, '{old}', '{new}')",
        ],
        "tail": [
            f"DELETE FROM event WHERE seq >= {repair}",
            f"DELETE FROM config WHERE digest = '{repaired}'",
        ],
    }
    alone = {"row": code, "content": f"UPDATE config SET {content} WHERE digest = '{old}'"}
    for name in (*forged, *alone):
        shutil.copy(state / "whole.db", state / f"{name}.db")
    for name, statements in forged.items():
        forge(state / f"{name}.db", *statements)
    for name, statement in alone.items():
        run_sql(state / f"{name}.db", statement)
