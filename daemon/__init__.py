"""The daemon and its commands: ``emperor``, and ``emperor-ctl`` for operators.

The modules at this level are the commands and their options; each package below has one job.
``core`` decides, ``host`` has the processes, and ``keeper`` outlives the daemon. ``control``
answers operators, ``loop`` has the turns, ``startup`` opens the journal, and ``cli`` is for the
commands. docs/architecture.md says which package may import which;
``tests/docs/test_architecture.py`` holds that.
"""
