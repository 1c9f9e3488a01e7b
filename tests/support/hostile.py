"""Functions of the daemon that raise when they are about one vassal."""

from collections.abc import Callable
from typing import Any, Final

import pytest

VICTIM: Final = "bad.ini"
SECRET: Final = "hunter2"  # noqa: S105  # not one


class Planted(Exception):
    """The error that was planted. It is of no kind that the daemon expects."""


def plant(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, *, once: bool = False
) -> list[str]:
    """Have ``owner.name``, or ``owner[name]``, raise for the victim; fills up with each time."""
    mapping = isinstance(owner, dict)
    original: Callable[..., Any] = owner[name] if mapping else getattr(owner, name)
    raised: list[str] = []

    def hostile(*args: Any, **named: Any) -> Any:
        if any(_is_victim(each) for each in (*args, *named.values())) and not (once and raised):
            raised.append(name)
            raise Planted(f"password={SECRET} \ud800")
        return original(*args, **named)

    (monkeypatch.setitem if mapping else monkeypatch.setattr)(owner, name, hostile)
    return raised


def _is_victim(value: Any) -> bool:
    return VICTIM in (value, getattr(value, "name", None), getattr(value, "vassal", None))
