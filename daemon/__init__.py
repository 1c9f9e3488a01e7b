"""The daemon and its commands: ``emperor``, and ``emperor-ctl`` for operators.

The modules at this level are the commands and their options; each package below has one job.
``core`` decides, ``host`` has the processes, and ``keeper`` outlives the daemon. ``control``
answers operators, and ``loop`` has the turns. ``startup`` opens the journal, and ``witness`` writes
its head elsewhere. ``migrating`` writes the files of other supervisors anew, and ``uwsgi`` reads
those of uWSGI's Emperor. ``client`` is ``emperor-ctl``, and ``cli`` is for all three commands.

Imports: ``daemon/cli``, ``daemon/client``, ``daemon/control``, ``daemon/core``, ``daemon/host``,
``daemon/keeper``, ``daemon/loop``, ``daemon/migrating``, ``daemon/startup``, ``daemon/uwsgi``,
``daemon/witness``, ``journal``, ``monitors``. No package below imports a module of this level.

Invariants:

- Options are read and checked before the journal is opened, so a wrong one changes nothing.
- An option has one home (``option_groups.py``), and ``--config`` and the environment take the same
  names.
- docs/architecture.md says which package may import which; ``tests/docs/test_architecture.py``
  holds that.
"""
