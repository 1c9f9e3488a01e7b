"""The keeper: the parent process of the daemon, which holds all that must outlive it.

``main.py``, ``stop_all.py`` and the modules that they use run in the keeper's process. ``link.py``
is the daemon's end of the channel between them, and ``protocol.py`` is for both.

The kernel closes a descriptor when its last holder dies, and uWSGI ends when its emperor's socket
closes. So the keeper has a duplicate of each socket. The kernel gives orphans to the nearest
subreaper. So the keeper reaps vassals whose daemon died, and tells the next daemon how they ended.

Imports: ``monitors``. Of that, it has only how to hide secrets. The keeper has to live: its process
uses the standard library only, and no trio or SQLite.

Invariants:

- A descriptor is entrusted before anything depends on it, and a death before the daemon reaps it.
- The keeper forgets a death only when the daemon acknowledges it, which is when it is durable.
- Keeper and daemon may be of two releases. Neither sends a packet that the other's version of the
  protocol does not have (``tests/daemon/keeper/test_keeper_versions.py``).
- The keeper decides nothing about vassals, but for one case: told to stop all, it ends them itself
  if no daemon starts to do it.
"""
