"""The lengths of all that a daemon keeps: its dicts, lists, sets and deques, by the way to them.

The way is the names of attributes. All entries of one container share a way, so what is kept for
each vassal is one number, too: the sum over all vassals.
"""

import types
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, Final

import trio

_PRODUCT: Final = "emperord."
_CONTAINERS: Final = (dict, list, set, frozenset, deque)
_LEAVES: Final = (str, bytes, bytearray, int, float, complex, type, types.ModuleType, type(None))


def lengths(root: object, name: str) -> Counter[str]:
    """By the way from ``root``, the entries of all containers there; objects are counted, too."""
    found: Counter[str] = Counter()
    seen = {id(root)}
    queue: deque[tuple[str, Any]] = deque([(name, root)])
    while queue:
        way, it = queue.popleft()
        if isinstance(it, _CONTAINERS):
            found[way] += len(it)
        for step, each in _parts(it):
            if isinstance(each, _LEAVES) or id(each) in seen:
                continue
            seen.add(id(each))
            queue.append((way + step, each))
    return found


def _parts(it: Any) -> Iterator[tuple[str, Any]]:
    """The parts of an object: attributes by their names, entries by ``[]``."""
    if isinstance(it, dict):
        yield from (("[]", each) for each in it.values())
        yield from (("[key]", each) for each in it)
    elif isinstance(it, (*_CONTAINERS, tuple)):
        yield from (("[]", each) for each in it)
    elif isinstance(it, types.MethodType):
        yield "()", it.__self__
    elif isinstance(it, partial):
        yield from (("()", each) for each in (it.func, *it.args, *it.keywords.values()))
    elif isinstance(it, trio.Event):
        yield "._tasks", list(it._tasks)
    elif type(it).__module__.startswith(_PRODUCT):
        for attribute in _attributes(it):
            try:
                yield f".{attribute}", getattr(it, attribute)
            except AttributeError:
                continue


def _attributes(it: object) -> Iterable[str]:
    """The names of all that an object holds itself."""
    names = dict.fromkeys(vars(it) if hasattr(it, "__dict__") else ())
    for each in type(it).__mro__:
        slots = each.__dict__.get("__slots__", ())
        names |= dict.fromkeys((slots,) if isinstance(slots, str) else slots)
    names |= dict.fromkeys(getattr(it, "__struct_fields__", ()))
    return [name for name in names if name not in ("__dict__", "__weakref__")]
