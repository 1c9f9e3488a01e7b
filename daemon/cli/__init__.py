"""The command lines of ``emperor``, ``emperor-ctl`` and ``emperor-replay``: their common parts.

``commandline.py`` reads arguments and reports errors, ``option_types.py`` has quantities and users,
``tables.py`` prints tables, ``escapes.py`` makes foreign text harmless for a terminal.
``terminal.py`` has colours, widths and local time, ``pager.py`` the pager for long output.
``waiting.py`` has the waits of what follows something.

Imports: ``daemon/core``, ``daemon/keeper``, ``journal``, ``monitors``.

Invariants:

- A name from a tenant cannot move the cursor or colour the terminal of an operator.
- Output to a pipe is whole, and has neither colours nor local time. It does not import rich.
- An error names the argument, and says what to write instead.
"""
