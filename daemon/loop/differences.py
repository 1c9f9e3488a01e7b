"""Differences between the spec that a vassal has and the spec that its source gives."""

from collections.abc import Iterable

from ...journal.events import Spec
from ...monitors.defaults import without_defaults
from ...monitors.settings import MARK


def difference(old: Spec, new: Spec) -> str:
    """The differences that matter, as words: ts, config, owner, socket, place, settings."""
    pairs: Iterable[tuple[str, object, object]] = (
        ("ts", old.ts, new.ts),
        ("config", old.config, new.config),
        (_owners(old, new), (old.uid, old.gid), (new.uid, new.gid)),
        ("socket", old.socket, new.socket),
        ("place", (old.path, old.cwd), (new.path, new.cwd)),
        ("settings", (old.settings, old.bar), (new.settings, new.bar)),
    )
    return ",".join(word for word, was, is_ in pairs if was != is_)


def read_otherwise(old: Spec, new: Spec) -> str | None:
    """How the same text is read now, where another version of the daemon read it; None if alike.

    The specs differ in nothing but their settings. Settings of ``--vassal-defaults`` alone do not
    count, and neither does a bar that no text is to blame for. Where a change of them is held back
    with the reading, they are named.
    """
    if new.config is None or old.bar is not None:
        return None
    if new.bar is not None:
        return new.bar if new.bar.startswith(MARK) else None
    keys = _differing(without_defaults(old).settings, without_defaults(new).settings)
    if not keys:
        return None
    also = [key for key in _differing(old.settings, new.settings) if key not in keys]
    waits = f"; of --vassal-defaults wait as well: {', '.join(also)}" if also else ""
    return f"{MARK}{', '.join(keys)}{waits}"


def _differing(old: dict[str, str], new: dict[str, str]) -> list[str]:
    return sorted(key for key in old | new if old.get(key) != new.get(key))


def _owners(old: Spec, new: Spec) -> str:
    """Both owners, as ``owner 1001:1001 to 1002:1002``; a dash where the source gives none."""
    ids = ("-" if each is None else str(each) for each in (old.uid, old.gid, new.uid, new.gid))
    return "owner {}:{} to {}:{}".format(*ids)
