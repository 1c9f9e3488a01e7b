"""zoo:// and zookeeper://: znodes below a path, watched and read again one by one.

Imports: ``journal``, ``monitors``.

Invariants:

- A vassal is gone when a listing that was made after it could not be read lacks it.
- A vassal with fields is told as it was at one moment.
- Watches tell of changes, and every ``freq`` seconds a share of all znodes is read again.
"""
