"""``emperor-replay``'s commands, a file each: its options, and how its answer is printed.

A module here has ``command``, a click command. ``replay/main.py`` lists the names and imports a
module when its command is asked for. The answers themselves come from the modules of ``replay/``,
which know nothing of the command line. ``replay/shared.py`` has the options that several take.

Imports: ``daemon/cli``, ``daemon/core``, ``journal``, ``replay``, ``replay/histories``.

Invariants:

- A command prints and exits; the modules of ``replay/`` can be used without it.
- Text for people is escaped on a terminal. JSON and config texts are bytes, whatever the locale.
- The exit code is 1 for not found or diverged, 2 for usage, and 3 for a journal that is damaged or
  cannot be read.
"""
