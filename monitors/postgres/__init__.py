"""pg://, postgresql:// and postgres://: rows that a query gives.

Imports: ``journal``, ``monitors``.

Invariants:

- NOTIFY only wakes a reading; the reading is the truth.
- The session is read-only, and each query is a transaction of its own.
- libpq gets its bytes from a relay that counts them.
"""

# Before psycopg, which takes hold of functions of asyncio that trio-asyncio replaces.
from .. import asyncio_loop as asyncio_loop
