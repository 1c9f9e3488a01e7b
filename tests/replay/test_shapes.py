"""One journal of each commit that changed the shape of an event: all of them are read for ever.

The first ones are of versions that were never released. Their rules and their digests of states
were not final, so for those the fold of today remembers something else, and decides the same.
"""

import json
import lzma
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
import pytest
from emperord.journal.events import KINDS, Spec
from emperord.journal.policy import Policy
from emperord.journal.reading import Reader, open_journal
from emperord.replay.histories.check import check_text
from emperord.replay.histories.recorded import recorded
from emperord.replay.histories.text import write
from emperord.replay.verify import lines, verify

SHAPES: Final = sorted((Path(__file__).parent.parent / "recorded" / "shapes").glob("*.db.xz"))
NAMES: Final = [path.name.removesuffix(".db.xz") for path in SHAPES]
UNRELEASED: Final = {
    "01-first": "differs: the text only",  # fields of actions had another order
    "15-checkpoints": "states part before the checkpoint",
    "16-daemon-before": "states part before the checkpoint",
    "17-oom": "states part before the checkpoint",
    "18-source-names": "states part before the checkpoint",
}
# The kind and field of an event that a commit added.
ADDED: Final = {
    "02-listen-failed": ("listen_failed", "held_as"),
    "03-rules": ("daemon_started", "rules"),
    "04-reloads-and-deaf": ("exited", "reload"),
    "06-identity": ("journal_forked", "inode"),
    "07-pressure": ("pressure_observed", "cpu"),
    "08-restored": ("config_restored", "config"),
    "09-clock": ("clock_jumped", "clock"),
    "11-vassal-failed": ("vassal_failed", "place"),
    "12-budget": ("vassal_changed", "over_budget"),
    "13-clock-behind": ("clock_jumped", "on_from"),
    "14-requesters": ("request_refused", "others"),
    "15-checkpoints": ("checkpoint", "digest"),
    "16-daemon-before": ("daemon_started", "before"),
    "17-oom": ("exited", "oom"),
    "18-source-names": ("daemon_started", "names"),
    "22-kept-sockets": ("listen_opened", "change"),
    "23-health": ("health_lost", "failures"),
    "24-notify": ("timeout_extended", "seconds"),
    "25-preflights": ("preflight_passed", "check"),
    "27-rollouts": ("rollout_due", "rollout"),
    "29-archives": ("journal_archived", "through"),
}


@contextmanager
def opened(shape: Path, folder: Path) -> Iterator[Reader]:
    path = folder / "journal.db"
    path.write_bytes(lzma.decompress(shape.read_bytes()))
    with open_journal(str(path)) as reader:
        yield reader


def fields(reader: Reader) -> dict[str, set[str]]:
    """The fields that the bodies of each kind have, as they are stored."""
    found: dict[str, set[str]] = defaultdict(set)
    for row in reader.rows():
        body = json.loads(row[6])
        found[row[2]] |= body.keys()
        found["spec"] |= body.get("spec", {}).keys()
        found["policy"] |= body.get("policy", {}).keys()
    return found


@pytest.mark.parametrize("shape", SHAPES, ids=NAMES)
def test_it_verifies(shape: Path, tmp_path: Path) -> None:
    with opened(shape, tmp_path) as reader:
        events = list(reader.events())
        verdict = verify(reader.path)
    assert len(events) == reader.head.seq > 30
    expected = UNRELEASED.get(shape.name.removesuffix(".db.xz"))
    assert verdict.exit_code == (0 if expected is None else 1)
    assert expected is None or expected in "\n".join(lines(shape.name, verdict))


@pytest.mark.parametrize("shape", SHAPES, ids=NAMES)
def test_its_history_comes_out_the_same(shape: Path, tmp_path: Path) -> None:
    with opened(shape, tmp_path) as reader:
        text = write(recorded(reader, 0, reader.head.seq))
    outcome = check_text(text, shape.name)
    assert outcome.same, outcome


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, set[str]]]:
    """The fields in each journal, by its name and their kind."""
    found = {}
    for name, path in zip(NAMES, SHAPES, strict=True):
        with opened(path, tmp_path_factory.mktemp("shape")) as reader:
            found[name] = fields(reader)
    return found


@pytest.mark.parametrize("name", ADDED)
def test_the_field_that_a_commit_added_is_in_none_before(
    name: str, stored: dict[str, dict[str, set[str]]]
) -> None:
    kind, field = ADDED[name]
    assert next(each for each in NAMES if field in stored[each].get(kind, ())) == name


def test_each_kind_and_field_of_today_is_in_one(stored: dict[str, dict[str, set[str]]]) -> None:
    """If this fails, ``tools/shapes NAME`` records a journal that has the new one."""
    found: dict[str, set[str]] = defaultdict(set)
    for its in stored.values():
        for kind, names in its.items():
            found[kind] |= names | {"v"}
    shapes: dict[str, type[msgspec.Struct]] = {**KINDS, "policy": Policy, "spec": Spec}
    lacking = {
        kind: set(shape.__struct_fields__) - found[kind] - {"v"} for kind, shape in shapes.items()
    }
    assert {kind for kind in shapes if kind not in found} == set()
    assert {kind: names for kind, names in lacking.items() if names} == {}
