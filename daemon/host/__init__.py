"""The host: everything that the daemon does to processes.

The package starts vassals, gives them orders, reads their bytes, and reaps them. It listens for
vassals on demand, and finds the processes of a former daemon again. It carries out the actions of
the fold and reports results; it decides nothing. ``host.py`` puts the parts together, and is the
port that the loop wants.

Imports: ``daemon/core``, ``daemon/keeper``, ``journal``, ``monitors``. The first two are for their
types. Of ``monitors`` it has names, settings, and reading with a tenant's rights.

Invariants:

- A vassal has one process at most. A second one starts only when nothing is left of the first one:
  its leader is reaped, and its tree is ended (``reap.py``, ``recovery.py``).
- A process is known by boot id, pid and start time, never by its pid alone (``procfs.py``).
- No byte of a vassal is lost. It stays in its socket until its event is durable (``mailbox.py``).
- The keeper has a socket before a vassal has its other end, and an exit status before the daemon
  reaps. So the death of the daemon loses neither (``spawn.py``, ``exit_handler.py``).
- Nothing that a tenant chose blocks the event loop: no file on a dead mount, socket with SO_LINGER,
  or traced process (``user_threads.py``, ``descriptors.py``).
- A user database that does not answer fails only starts whose account it is to tell. They have a
  slot for 5 s, and while a lookup hangs for 0.5 s, so other starts wait little (``accounts.py``).
- An error about one vassal bars that vassal only (``vassal_tasks.py``). A refusal of the machine
  that passes bars none (``daemon/keeper/refusals.py``).
- A program runs as a tenant only after it has the tenant's rights for good (``users.py``).
"""
