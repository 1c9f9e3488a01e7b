"""The loop: it takes inputs, folds them, commits the events, and acts on them.

``shell.py`` is the turn. ``inbox`` and ``input_queue`` have the inputs that wait. ``pending`` has
the fleet ahead of the journal. ``recorder`` commits and pauses. ``view`` is the daemon as operators
see it, and ``handover`` is its exit with running vassals. ``observer`` and the files beside it turn
observations of sources into events. ``deadlines``, ``heartbeats``, ``jumps``, ``pressure``,
``signals``, ``monitor_runner`` and ``vassal_news`` are the senders of inputs. ``watching`` ends the
watch of sources when the daemon leaves.

Imports: ``daemon/control``, ``daemon/core``, ``daemon/host``, ``daemon/keeper``, ``journal``,
``monitors``. ``ports.py`` imports values and decisions only. So the simulation can replace journal,
host, keeper, clock and signals.

Invariants:

- Commit, then act: no action is carried out and no source is acknowledged before the event is
  durable.
- The loop decides nothing. An input says which events it means by the fleet of the moment in which
  it is folded.
- Operators see the recorded fleet, never the one that is ahead of the journal.
- While the journal cannot be written, vassals keep running and sources wait. Requests of operators
  are refused.
- Observations of one source keep their order. Other senders have none among them.
- An error about one vassal bars that vassal. An error about a source is an outage of that source.
- An event is stamped by the journal's clock, which never goes back.
"""
