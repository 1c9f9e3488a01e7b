"""``emperor-replay``: the journal read back, folded again, and verified.

``commands/`` has a file for each command. ``rebuild.py`` gives the fleet at any event, and
``verify.py`` compares the record with the chain and with the fold. ``event_text.py`` has the texts
for events. ``live_why.py`` is the command ``why`` of ``emperor-ctl``.

Imports: ``daemon/cli``, ``daemon/client``, ``daemon/core``, ``daemon/loop``, ``journal``,
``monitors``. Of ``daemon/loop`` it has the texts of the log.

Invariants:

- No command writes to the journal or takes its lock, so all of them are safe beside a daemon.
- Events are folded by the rules of their day. A snapshot is a shortcut, and ``verify`` checks it.
- Events behind damage are not folded, because nothing follows from a wrong event.
"""
