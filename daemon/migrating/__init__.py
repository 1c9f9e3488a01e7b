"""``emperor --migrate``: the files of other supervisors, written anew as a folder of vassals.

``supervisord`` reads a supervisord.conf, ``procfile`` a Procfile with its ``.env``, and ``unit``
units of systemd. Each makes ``Found`` of its file (``found``): vassals, and what it tells of each
line. A line is taken, changed, or named with what to do instead. ``writing`` makes files and the
report of that. ``kinds`` tells which reader a file is for, and ``run`` does all of it.

Imports: ``monitors``.

Invariants:

- No line of a source is left out in silence: a key that a reader does not know is named.
- A vassal that would not run as its program did is written with the ending ``.off``. So no daemon
  starts it.
- No file is replaced unless the operator says so. If one of them is in the way, none is written.
"""
