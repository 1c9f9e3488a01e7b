"""zmq://: messages that clients push to a socket of the daemon.

Imports: ``journal``, ``monitors``.

Invariants:

- Messages of one client are told in their order; the time of a message is when it came.
- The daemon accepts connections itself, and counts each client's frames before libzmq has them.
- A full inbox makes clients wait, and loses nothing.
"""
