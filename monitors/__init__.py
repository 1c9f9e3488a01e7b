"""Sources: each watches one place and tells the daemon which vassals it lists or announces.

The modules here are shared by all sources; each folder is one source, or one family of them.
``contract`` is the protocol of a source, and ``registry`` makes one of a URL.

Imports: ``journal``. Of that, it has events, digests and quantities, and it has nothing of the
daemon.

Invariants:

- A source tells observations and decides nothing (``contract``).
- A source is acknowledged only after its observation is durable in the journal.
- A source that fails stops no vassal: it tells ``Failed``, and is tried again with backoff.
- Nothing blocks the event loop, every wait can be cancelled, and all input has limits.
- No password is in a monitor's URL or in any text that it tells.
"""
