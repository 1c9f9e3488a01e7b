"""``show`` and ``diff``: config texts as they were deployed, byte by byte."""

import difflib
import re
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from ..daemon.cli.digests import short
from ..daemon.core.fleet import Fleet
from ..daemon.core.running import running_config
from ..daemon.core.starts import bar_reason
from ..journal.deploys import DEPLOYED, DEPLOYS
from ..journal.events import Announced
from ..journal.reading import Reader
from ..journal.selection import Filter
from ..journal.times import EventNumber, moment, rfc3339
from ..monitors.names import shown
from .beginnings import look_in_archive, or_in_archive
from .holds import last_ran
from .names import check_known, first_fleet
from .rebuild import NotFound

_NUMBER: Final = re.compile(r"[0-9]{1,19}", re.ASCII)
_DIGEST: Final = re.compile(r"[0-9a-f]{4,64}", re.ASCII)


class Text(msgspec.Struct, frozen=True):
    """One config that was deployed for a vassal.

    ``is_older``: that was at event ``seq`` or before, behind which the file begins.
    """

    seq: int
    at: int
    digest: str | None
    is_older: bool = False

    def label(self, name: str) -> str:
        if self.is_older:
            return f"{shown(name)}\tbefore event {self.seq + 1}, {short(self.digest)}"
        return f"{shown(name)}\tevent {self.seq}, {rfc3339(self.at)}, {short(self.digest)}"


def heading(name: str) -> str:
    """The line above a text, where several are printed: as head(1) has it."""
    return f"==> {shown(name)} <=="


def running(reader: Reader, fleet: Fleet, name: str) -> bytes:
    """The config that a vassal's process had in a fleet. Raises NotFound, Damaged."""
    vassal = fleet.vassals.get(name)
    if vassal is None:
        check_known(reader, name)
        raise NotFound(_not_there(reader, name, fleet.seq))
    if vassal.attempt is None:
        wanted = "without --running it is the config that is wanted"
        raise NotFound(f"{shown(name)} is {vassal.phase} and has no process; {wanted}")
    digest = running_config(vassal)
    if digest is None and digest != vassal.spec.config:
        raise NotFound(f"the config that the process of {shown(name)} has is not known")
    return text_of(reader, name, digest)


def deployed(reader: Reader, fleet: Fleet, name: str) -> bytes:
    """The config that a vassal was to run in a fleet. Raises NotFound, Damaged."""
    vassal = fleet.vassals.get(name)
    if vassal is None:
        check_known(reader, name)
        raise NotFound(_not_there(reader, name, fleet.seq))
    if vassal.spec.config is None:
        reason = bar_reason(vassal.spec, fleet.policy, vassal.monitor)
        if reason is not None:
            raise NotFound(f"the config of {shown(name)} was not read: {reason}")
    return text_of(reader, name, vassal.spec.config)


def _not_there(reader: Reader, name: str, seq: int) -> str:
    last = reader.last_of(name, DEPLOYS, seq)
    if last is not None:
        return (
            f"{shown(name)} is not there after event {seq}: event {last[0]} removed it;"
            f" 'show {shown(name)} --seq {last[0] - 1}' shows what it had before"
        )
    first = reader.first_of(name)
    if first is None:
        text = f"{shown(name)} is not there after event {seq}; no event of this file speaks of it"
    else:
        text = f"{shown(name)} was not known then; event {first[0]} is the first that speaks of it"
    return or_in_archive(reader, text)


def text_of(reader: Reader, name: str, digest: str | None) -> bytes:
    """A config of a vassal by its digest; None if it was too long. Raises NotFound, Damaged."""
    if digest is None:
        raise NotFound(f"the config of {shown(name)} was over 1 MiB, so it was not recorded")
    content = reader.config_text(digest)
    if content is None:
        raise NotFound(
            f"the config text {digest} of {shown(name)} is not in this journal;"
            " that of a tenant is not recorded while its --record-budget is spent"
        )
    return content


def diff(reader: Reader, name: str, old: str | None, new: str | None) -> Iterator[bytes]:
    """Lines of a unified diff between two configs of a vassal.

    ``old`` and ``new`` are events, digests (4 characters or more of one) or times; the last two
    different configs if None. Raises NotFound, ValueError for what is none of those, Damaged.
    """
    check_known(reader, name)
    texts = _texts(reader, name)
    if not texts:
        raise NotFound(or_in_archive(reader, f"no config of {shown(name)} is in this journal"))
    after = texts[-1] if new is None else _picked(reader, texts, name, new)
    if old is not None:
        before = _picked(reader, texts, name, old)
    else:
        earlier = [text for text in texts if text.seq < after.seq]
        if not earlier:
            raise NotFound(_no_other(reader, name, after))
        before = earlier[-1]
    yield from unified(
        text_of(reader, name, before.digest), text_of(reader, name, after.digest),
        before.label(name).encode(), after.label(name).encode(),
    )  # fmt: skip


def _no_other(reader: Reader, name: str, after: Text) -> str:
    begin = f"event {after.seq}"
    if not reader.anchor.seq:
        return f"{shown(name)} had no other config before {begin}"
    advice = look_in_archive(reader)
    return f"no other config of {shown(name)} from before {begin} is in this file; {advice}"


def diff_to_wanted(reader: Reader, fleet: Fleet, name: str) -> Iterator[bytes]:
    """Lines of a unified diff from the config that a vassal runs, or ran last, to the wanted one.

    Raises NotFound, Damaged.
    """
    vassal = fleet.vassals.get(name)
    if vassal is None:
        check_known(reader, name)
        raise NotFound(_not_there(reader, name, fleet.seq))
    runs, verb = running_config(vassal), "runs"
    if vassal.attempt is None:
        runs, verb = last_ran(vassal), "ran"
    if runs is None:
        raise NotFound(f"the config that {shown(name)} runs or ran last is not known")
    yield from unified(
        text_of(reader, name, runs), text_of(reader, name, vassal.spec.config),
        f"{shown(name)}\t{verb}, {short(runs)}".encode(),
        f"{shown(name)}\twanted, {short(vassal.spec.config)}".encode(),
    )  # fmt: skip


def _texts(reader: Reader, name: str) -> list[Text]:
    """The configs that were deployed, in order; the same one twice in a row is told once.

    The first one may be that which the vassal had where the file begins.
    """
    texts: list[Text] = []
    fleet = first_fleet(reader)
    before = fleet.vassals.get(name)
    if before is not None and before.wanted:
        texts.append(Text(reader.anchor.seq, fleet.at, before.spec.config, is_older=True))
    for event in reader.events(Filter(vassal=name, kinds=DEPLOYED)):
        assert isinstance(event.body, Announced)
        digest = event.body.spec.config
        if not texts or texts[-1].digest != digest:
            texts.append(Text(event.seq, event.at, digest))
    return texts


class _NoConfig(NotFound):
    """The vassal had no such config, as far as the file tells."""


def _picked(reader: Reader, texts: list[Text], name: str, told: str) -> Text:
    try:
        return _pick(texts, name, told, reader.head.seq)
    except _NoConfig as none:
        if not reader.anchor.seq:
            raise
        raise NotFound(f"{none} in this file; {look_in_archive(reader)}") from None


def _pick(texts: list[Text], name: str, told: str, last: int) -> Text:
    """The text that was deployed at an event, under a digest, or at a time."""
    if _NUMBER.fullmatch(told) and int(told) <= last:
        return _at_event(texts, name, int(told), last)
    # Behind the last event it is a digest that begins with digits only; 100d is a time, too.
    if _DIGEST.fullmatch(told.lower()):
        found = [text for text in texts if (text.digest or "").startswith(told.lower())]
        if len({text.digest for text in found}) > 1:
            raise NotFound(f"more than one config of {shown(name)} begins with {told}")
        if found:
            return found[-1]
    try:
        when = moment(told)
    except ValueError:
        if _DIGEST.fullmatch(told.lower()):
            raise _NoConfig(f"{shown(name)} had no config {told}") from None
        if _NUMBER.fullmatch(told):
            return _at_event(texts, name, int(told), last)
        raise
    if isinstance(when, EventNumber):
        return _at_event(texts, name, when.seq, last)
    return _latest(texts, name, lambda text: text.at <= when, rfc3339(when))


def _at_event(texts: list[Text], name: str, seq: int, last: int) -> Text:
    if seq > last:
        raise NotFound(f"there is no event {seq}; the last one is {last}")
    return _latest(texts, name, lambda text: text.seq <= seq, f"event {seq}")


def _latest(texts: list[Text], name: str, fits: Callable[[Text], bool], when: str) -> Text:
    found = [text for text in texts if fits(text)]
    if not found:
        raise _NoConfig(f"{shown(name)} had no config at {when}")
    return found[-1]


def unified(old: bytes, new: bytes, old_label: bytes, new_label: bytes) -> Iterator[bytes]:
    """The lines of a unified diff, with their ends."""
    lines = difflib.diff_bytes(
        difflib.unified_diff, _lines(old), _lines(new), old_label, new_label, lineterm=b"\n"
    )
    for line in lines:
        yield line if line.endswith(b"\n") else line + b"\n\\ No newline at end of file\n"


def _lines(content: bytes) -> list[bytes]:
    # Not splitlines: a lone carriage return is a byte like any other.
    pieces = content.split(b"\n")
    return [piece + b"\n" for piece in pieces[:-1]] + ([pieces[-1]] if pieces[-1] else [])
