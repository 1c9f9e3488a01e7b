"""Histories: a part of a journal as a small text, with what was decided beside each event.

A history begins with the fleet before its first event, or with none. Its events have their numbers,
the actions that were recorded, and the state of each vassal that they changed. Folded again, all of
that must come out the same: so a history is a test.

    history.py     what a history is
    text.py        the text of one, which a reviewer reads in a diff; ``parsing.py`` and
                   ``header.py`` read it
    values.py      how names, times and digests are written in it
    text_block.py  how config texts are written in it
    recorded.py    takes it from a journal; ``closure.py`` leaves out what decides nothing in it
    folding.py     folds it: actions and states, event by event
    check.py       whether it folds to what it says, and where it first does not

Imports: ``daemon/core``, ``journal``, ``monitors``, ``replay``.

Invariants:

- ``write(read(text))`` is ``text``, for each text that ``write`` made.
- A history needs no journal and no clock: it folds on any machine to the same.
- A later version reads each history of a former one.
"""
