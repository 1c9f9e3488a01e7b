"""The witness: the journal's head, written where the journal's own file system does not reach.

A hash chain cannot show that all of it was made anew, or that an older copy was put back. A line
with the number and hash of the last event, kept elsewhere, can. ``targets`` has the places (a file,
syslog, a command). ``writer`` is the task that writes to one of them. ``settings`` reads the
options. ``journal/witness.py`` says what a line holds.

Imports: ``daemon/host``, ``journal``, ``monitors``.

Invariants:

- The task never delays the loop: a place that hangs or fails costs lines, and a warning.
- A line is written only for an event that is durable.
- A signature is made by a key that the daemon reads once, at its start.
"""
