"""The decisions of the daemon: a fleet and an event go in, the next fleet and actions come out.

Imports: ``journal``. Of that, it has the vocabulary of events, the policy and the errors.

The package is pure. No module here reaches for the clock, the system, randomness, trio or SQLite,
so a replay in another year on another machine decides the same. ``tests/fold/test_purity.py`` holds
that.

The table in ``fold.py`` is a state machine. It has a row for each kind of event about a vassal, a
column for each phase, and in each cell a move. ``steps.py`` names the files of the moves. The table
is total: no cell is missing, and ``ignore`` says that nothing happens. ``tests/fold/test_table.py``
holds that, and ``tools/lifecycle`` draws docs/lifecycle.md from it. Events about the fleet or a
source have a second table.

Invariants:

- Time is ``event.at``, never the clock. A deadline that passes is an event like all others.
- Each event is folded once, after the ones before it. An event about a former attempt or a former
  deadline changes nothing, so a late one does no harm.
- When a move raises, the shell takes the fleet back to before the event. The error names the vassal
  (``blame.py``), and the event ``vassal_failed`` bars that one alone.
- A released decision stays for ever. A new one is a ``Change`` in ``rules.py``, the old branch
  stays, and each journal is folded by the rules that its daemon recorded.
- The fleet is plain data. The same history gives the same bytes of a snapshot. The keys are in the
  same order, because the order of the queues is part of the state.
"""
