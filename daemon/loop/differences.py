"""Differences between the spec that a vassal has and the spec that its source gives."""

from collections.abc import Iterable

from ...journal.events import Spec


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


def _owners(old: Spec, new: Spec) -> str:
    """Both owners, as ``owner 1001:1001 to 1002:1002``; a dash where the source gives none."""
    ids = ("-" if each is None else str(each) for each in (old.uid, old.gid, new.uid, new.gid))
    return "owner {}:{} to {}:{}".format(*ids)
