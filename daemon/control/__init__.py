"""The control socket: operators ask there, and another daemon takes over there.

``server.py`` serves clients and limits them, ``requests.py`` answers. ``orders.py`` answers those
about vassals, which ``choosing.py`` finds. ``waiting.py`` lets a client wait for phases,
``attention.py`` finds troubles, ``explain.py`` shows the command of a vassal.
``takeover.py`` hands all vassals to a successor whose keeper lives.

Imports: ``daemon/cli``, ``daemon/core``, ``daemon/host``, ``daemon/keeper``, ``journal``,
``monitors``. It does not import the loop: each file names as a protocol what it needs of the
running daemon.

Invariants:

- A request changes the fleet only as an event ``operator_requested``, with the client's uid. The
  answer follows when that event is durable.
- A request that the fold ignores in the vassal's phase is no event. The fold's table says which
  those are.
- While the journal cannot be written, a request for a change is refused.
- The socket has mode 0600. One user's clients cannot take all places.
"""
