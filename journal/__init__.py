"""The record: every event and the actions that followed, in one SQLite file with a hash chain.

Imports: nothing of ours.

The package knows what events look like (``events.py``), but not what they mean for a vassal. The
daemon writes (``store.py``), any program may read (``reading.py``), and an audit proves what is
read (``damage.py``). docs/journal.md is for readers without our code.

The hash chain (``chain.py``): each row has the SHA-256 of the row before it and of its own columns.
A changed byte breaks the chain at its row, and the ``head`` in the table ``chain`` shows rows that
are gone at the end. The chain does not stop an attacker who can write the file: it could be made
anew. For that, keep the hash of the head elsewhere.

Crashes: the file is in WAL mode with ``synchronous = FULL``, so a commit is an append to the
write-ahead log and one fsync. SQLite drops a transaction of which the end is missing. So after a
crash the journal ends with a whole turn, and the daemon acts on a turn only after its commit. But
SQLite also drops transactions behind a damaged frame and says nothing. ``wal.py`` tells the two
apart.

Invariants:

- One writer. The lock is a BSD lock on an open file, which a child holds until its exec.
- Rows are appended and never changed. Kinds, fields and JSON keys keep their names for ever. A new
  field is optional, and a new meaning is a new version with an upcaster.
- Numbers and times rise from row to row, whatever the wall clock does.
- A reader leaves no trace: no file, no lock, no checkpoint (``files.py``).
- A commit that fails pauses the journal with a reason, and the daemon does nothing that is not
  recorded. ``reserve.py`` keeps room, so that a daemon can start and stop on a full disk.
- If a file of an open journal is deleted, replaced or cut, the journal pauses (``guard.py``).
"""
