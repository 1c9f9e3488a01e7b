"""mongodb://, mongodb+srv:// and mongodb2://: documents that a filter finds.

Imports: ``journal``, ``monitors``.

Invariants:

- A change stream only wakes a reading; the reading is the truth.
- A document that cannot be decoded is refused alone, and the rest of its batch counts.
- A message's length is checked before pymongo allocates memory for it.
"""
