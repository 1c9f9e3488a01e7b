"""The client's end of the control socket: how ``emperor-ctl`` asks, and what it shows.

``asking.py`` sends a request and reads the answer. The commands of ``emperor-ctl`` that show things
have a file each, with a ``command``. ``daemon/ctl.py`` lists them all, with ``why`` and ``events``,
which are in ``replay/live_why.py`` and ``live_events.py``. ``logs.py`` finds logs by
``log_files.py``, follows them by ``log_tail.py`` and prints them by ``log_lines.py``. ``top.py``
has several. ``screen.py`` holds the terminal, ``fleet_feed.py`` asks in a thread, and ``usage.py``
reads CPU and memory. ``top_rows.py`` has the rows, and ``top_state.py`` the operator's choice.

Imports: ``daemon/cli``, ``daemon/control``, ``daemon/core``, ``journal``, ``monitors``.

Invariants:

- An answer may come from a daemon of another version: a key that is not there is unknown.
- A command that only looks changes nothing, also when it is interrupted.
"""
