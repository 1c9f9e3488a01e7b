"""``emperor-replay``'s commands, a file each: its options, and how its answer is printed.

A module here has ``command``, a click command. ``replay/main.py`` lists the names and imports a
module when its command is asked for. The answers themselves come from the modules of ``replay/``,
which know nothing of the command line. ``replay/shared.py`` has the options that several take.
"""
