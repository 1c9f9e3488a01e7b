"""The start of a daemon, up to its first turn: the right journal, opened once, by one emperor.

The package opens the journal (``opening.py``), and finds and locks its identity (``identity.py``).
It looks whether another emperor uses a copy (``in_use.py``), and restores a copy if an operator
wants that (``restoring.py``).

Imports: ``daemon/control``, ``daemon/core``, ``daemon/host``, ``daemon/keeper``, ``daemon/loop``,
``daemon/witness``, ``journal``, ``monitors``. Only ``daemon/main.py`` imports it.

A vassal must never run twice. If a journal lacks the last event that the keeper knows to be
durable, the vassals do not run for it. It was lost, cut or replaced. With it, the daemon would
start all of them again. So it is *estranged* (``estranged.py``): it touches no process and answers
``status`` until an operator decides with ``adopt`` or ``restore``.

Invariants:

- No process is started, signalled or adopted before the journal's identity is locked.
- A copy of a journal in use is refused, whichever runtime directory the copy's emperor has.
- Without an operator's decision, an estranged daemon starts, adopts and signals no vassal.
"""
