"""The witness: the journal's head, written where the journal's own file system does not reach.

``targets`` has the places (a file, syslog, a command), ``writer`` the task that writes to one of
them and never delays the loop. ``journal/witness.py`` says what a line holds.
"""
