"""The break and its repairs: tables of cases, told as a line of marks."""

import re

import pytest
from emperord.replay.breaks import Break, Mark, Patience, What, breaks

SECOND = 1_000_000_000
_WHAT = {
    "D": "deploy",
    "R": "run",
    "U": "up",
    "L": "loyal",
    "X": "death",
    "E": "end",
    "F": "end",  # of a job that is done
    "W": "deploy",  # of one that waits for a client
    "Q": "request",
    "G": "gone",
    "K": "death",  # of a signal
    "S": "request",  # to start
    "C": "deploy",  # that is checked first
    "P": "passed",
    "N": "refused",
}


def marks(told: str) -> list[Mark]:
    """``4D 4R 5U 9X``: what happened in which event; ``5@70U`` was 70 s after the beginning.

    ``49R:4``: a process runs the config of event 4 again. Without ``@`` an event was as many
    seconds after the beginning as its number says.
    """
    found = []
    for word in told.split():
        parts = re.fullmatch(r"(\d+)(?:@([\d.]+))?([A-Z])(?::(\d+))?", word)
        assert parts is not None, word
        seq = int(parts[1])
        at = int(float(parts[2] or seq) * SECOND)
        letter = parts[3]
        what: What = _WHAT[letter]  # type: ignore[assignment]
        config = f"c{seq}" if what == "deploy" else parts[4] and f"c{parts[4]}"
        found.append(
            Mark(
                what,
                seq,
                at,
                config=config,
                outside=letter == "K",
                starts=letter == "S",
                checked=letter == "C",
                barred=letter == "N",
                rests=letter in "FW",
            )
        )
    return found


def seq(mark: Mark | None) -> int | None:
    return None if mark is None else mark.seq


def line(one: Break) -> str:
    """A break as the case says it."""
    signs = {"died": "x", "accepting": "v", "running": "v", "superseded": "-", "pending": "?"}
    signs |= {"refused": "n", "late": "l"}
    tried = " ".join(f"{each.seq}{signs[each.outcome]}" for each in one.repairs)
    blame = f"broken by {seq(one.broken_by)}"
    if one.broken_by is None and one.under is not None:
        blame = f"{'proved' if one.proved else 'under'} {seq(one.under)}"
    until = "" if one.until is None else f"-{one.until // SECOND}"
    return (
        f"{one.since // SECOND}{until}: {one.deaths} deaths, {blame}, good {seq(one.last_good)}"
        f"{', ' if tried else ''}{tried}"
    )


CASES = {
    "never down": ("4D 4R 5U 6L", []),
    "a change while it is held breaks it": (
        "4D 4R 5U 6Q 7E 8D 900S 900R 901X",
        ["900: 1 deaths, broken by 8, good 4"],
    ),
    "a start while it is down anyhow": (
        "4D 4R 5U 6D 7X 9S 9R 10X",
        ["7: 2 deaths, broken by 4, good None, 9x"],
    ),
    "the first deploy never ran": ("4D 4R 6X", ["4: 1 deaths, broken by 4, good None"]),
    "a change breaks it": (
        "4D 4R 5U 45D 45R 47X 48R 49X",
        ["47: 2 deaths, broken by 45, good 4"],
    ),
    "three edits, and the third helps": (
        "4D 4R 5U 45D 45R 47X 48R 50X 62D 62R 64X 79D 79R 80X 91D 91R 92U",
        ["47-92: 4 deaths, broken by 45, good 4, 62x 79x 91v"],
    ),
    "it comes up for a moment and dies, again and again": (
        "4D 4R 5U 45D 45R 46U 47X 48R 49U 50X 62D 62R 63U 64X",
        ["47: 3 deaths, broken by 45, good 4, 62x"],
    ),
    "an edit that comes up for a moment is no repair": (
        "4D 4R 5U 45D 45R 46U 48X 62D 62R 63U 64X 70D 70R 71U 90L",
        ["48-71: 2 deaths, broken by 45, good 4, 62x 70v"],
    ),
    "a repair that stayed up is good, and the next edit is another break": (
        "4D 4R 5U 45D 45R 46X 62D 62R 63U 70D 70R 71X",
        [
            "46-63: 1 deaths, broken by 45, good 4, 62v",
            "71: 1 deaths, broken by 70, good 62",
        ],
    ),
    "an edit while it is up behind one death does not prolong the break": (
        "4D 4R 5U 45D 45R 46U 66X 66R 67U 97D 97R 98U 190L",
        ["66-67: 1 deaths, broken by 45, good 4, 97v"],
    ),
    "an edit behind a kill from outside is too late": (
        "4D 4R 5U 15K 15R 16U 20D 21E 21R 22U 90L",
        ["15-16: 1 deaths, under 4, good None, 20l"],
    ),
    "a request behind a kill from outside is too late": (
        "4D 4R 5U 15K 15R 16U 20Q 20R 21U 90L",
        ["15-16: 1 deaths, under 4, good None, 20l"],
    ),
    "a request when it has stayed up is no repair": (
        "4D 4R 5U 15K 15R 16U 80Q 80R 81U 90L",
        ["15-16: 1 deaths, under 4, good None"],
    ),
    "an edit that is too late dies": (
        "4D 4R 5U 15K 15R 16U 20D 20R 21X",
        ["15-16: 1 deaths, under 4, good None, 20l", "21: 1 deaths, broken by 20, good 4"],
    ),
    "an edit that is too late begins a loop": (
        "4D 4R 5U 15K 15R 16U 20D 20R 21X 22R 23X 30D 30R 31X 40D 40R 41U 90L",
        [
            "15-16: 1 deaths, under 4, good None, 20l",
            "21-41: 3 deaths, broken by 20, good 4, 30x 40v",
        ],
    ),
    "an edit dies behind a death of a config that had run well": (
        "4D 4R 5U 6L 15X 15R 16U 20D 20R 21X",
        ["15-16: 1 deaths, proved 4, good 4, 20l", "21: 1 deaths, broken by 20, good 4"],
    ),
    "an edit that is too late dies of a restart, which counts from the stop": (
        "4D 4R 5U 15K 15R 16U 20D 21E 22R 24X",
        ["15-16: 1 deaths, under 4, good None, 20l", "21: 1 deaths, broken by 20, good 4"],
    ),
    "an edit that is too late dies behind a request": (
        "4D 4R 5U 15K 15R 16U 20D 20R 21U 23Q 23R 24X",
        ["15-16: 1 deaths, under 4, good None, 20l 23l", "24: 1 deaths, broken by 20, good 4"],
    ),
    "an edit dies behind two kills from outside": (
        "4D 4R 5U 15K 15R 16U 20K 20R 21U 25D 25R 26X",
        ["15-21: 2 deaths, under 4, good None, 25l", "26: 1 deaths, broken by 25, good 4"],
    ),
    "an edit that is too late is killed from outside as well": (
        "4D 4R 5U 15K 15R 16U 20D 20R 21K",
        ["15: 2 deaths, under 4, good None, 20x"],
    ),
    "an edit in a loop that a kill began is a repair": (
        "4D 4R 5U 15K 15R 16U 18X 18R 19U 21D 21R 22X 22R 23U 24D 24R 25U 90L",
        ["15-25: 3 deaths, under 4, good None, 21x 24v"],
    ),
    "an edit helps while a loop has it up for a moment": (
        "4D 4R 5U 45D 45R 46U 50X 51R 52U 56X 57R 58U 60D 61E 61R 62U 90L",
        ["50-62: 2 deaths, broken by 45, good 4, 60v"],
    ),
    "an edit behind two kills from outside is too late": (
        "4D 4R 5U 15K 15R 16U 20K 20R 21U 25D 26E 26R 27U 90L",
        ["15-21: 2 deaths, under 4, good None, 25l"],
    ),
    "an edit that no process ran has broken nothing": (
        "4D 4R 5U 44D 45D 45R 47X",
        ["47: 1 deaths, broken by 45, good 4"],
    ),
    "an edit while the broken one starts is not what dies": (
        "4D 4R 5U 45D 45R 46D 47X 47R 48U 80L",
        ["47-48: 1 deaths, broken by 45, good 4"],
    ),
    "a repair waits for the process of the one before": (
        "4D 4R 5U 45D 45R 47X 48R 49D 50X 50R 51U",
        ["47-51: 2 deaths, broken by 45, good 4, 49v"],
    ),
    "two edits at once": (
        "4D 4R 5U 45D 45R 47X 62D 63D 63R 64U",
        ["47-64: 1 deaths, broken by 45, good 4, 62- 63v"],
    ),
    "a restart for the change counts from the stop": (
        "4D 4R 5U 45D 46E 46R 48X",
        ["46: 1 deaths, broken by 45, good 4"],
    ),
    "an operator tries, too": (
        "4D 4R 5U 45D 45R 47X 50Q 50R 51X 60Q 61Q 70D 70R",
        ["47: 2 deaths, broken by 45, good 4, 50x 60- 61- 70?"],
    ),
    "a loyal one that is killed was not broken by its deploy": (
        "4D 4R 5U 6L 20X 20R 21U 22L 40X 40R 41U 42L",
        ["20-41: 2 deaths, proved 4, good 4"],
    ),
    "a refused repair does not die, and the next one helps": (
        "4D 4R 5U 45C 46P 46R 48X 50C 51N 52R 53X 60C 61P 61R 62U 90L",
        ["48-62: 2 deaths, broken by 45, good 4, 50n 60v"],
    ),
    "a repair that is still checked does not die": (
        "4D 4R 5U 45C 46P 46R 48X 50C 52R 53X 54P 54R 55U 90L",
        ["48-55: 2 deaths, broken by 45, good 4, 50v"],
    ),
    "a refused change broke nothing": (
        "4D 4R 5U 45C 46N 60X 60R 61X",
        ["60: 2 deaths, proved 4, good 4"],
    ),
    "a change that was taken back is not what runs": (
        "4D 4R 5U 6L 45D 45R:45 47X 48R:45 49X 49R:4 50U 60L 200X 230R:4 231U 240L",
        ["47-50: 2 deaths, broken by 45, good 4", "200-231: 1 deaths, proved 4, good 4"],
    ),
    "a first deploy that is refused is a break": (
        "4C 5N 6Q 7N 8C 9P 9R 10U 50L",
        ["4-10: 0 deaths, broken by 4, good None, 6n 8v"],
    ),
    "edits after a quiet time are no repairs": (
        "4D 4R 5U 10X 10R 30X 30R 31U 40D 40R 41U 95D 95R 96U 98D",
        ["10-41: 2 deaths, broken by 4, good None, 40v"],
    ),
    "a kill is not the deploy's fault, but what follows may be": (
        "4D 4R 5U 45D 45R 46U 48K 48R 49U 60D 60R 61U 64X",
        ["48-49: 1 deaths, under 45, good 4", "64: 1 deaths, broken by 60, good 45"],
    ),
    "a death after half a minute is not the deploy's": (
        "4D 4R 5U 45D 45R 46U 99X 100R 101X",
        ["99: 2 deaths, proved 45, good 45"],
    ),
    "a config that ran well behind a death is the last good one": (
        "4D 4R 5U 6X 6R 7U 900D 900R 901X",
        ["6-7: 1 deaths, broken by 4, good None", "901: 1 deaths, broken by 900, good 4"],
    ),
    "so is one that was stopped for the next": (
        "4D 4R 5U 6X 6R 7U 900D 901E 901R 902X",
        ["6-7: 1 deaths, broken by 4, good None", "901: 1 deaths, broken by 900, good 4"],
    ),
    "a deploy that ran well is not to blame for a death of a reload": (
        "4D 4R 5U 900Q 900R 901X",
        ["901: 1 deaths, proved 4, good 4"],
    ),
    "a death after a quiet time is another break": (
        "4D 4R 5U 6L 20X 20R 21U 90X",
        ["20-21: 1 deaths, proved 4, good 4", "90: 1 deaths, proved 4, good 4"],
    ),
    "a removal ends a break": (
        "4D 4R 5U 45D 45R 47X 50G 55D 55R 56U 80L",
        ["47-50: 1 deaths, broken by 45, good 4"],
    ),
    "one that is removed while it starts does not die": (
        "4D 4R 5U 45D 45R 47X 48R 50G 51X",
        ["47-50: 1 deaths, broken by 45, good 4"],
    ),
    "a break is over that it was up behind before its removal": (
        "4D 4R 5U 45D 45R 47X 48R 49U 50G 51E",
        ["47-49: 1 deaths, broken by 45, good 4"],
    ),
    "a healthy one is removed, and later comes back with a bad config": (
        "4D 4R 5U 6L 10G 11E 900D 900R 901X",
        ["900: 1 deaths, broken by 900, good 4"],
    ),
    "it comes back before its process has ended": (
        "4D 4R 5U 6L 10G 12D 15E 15R 16X",
        ["12: 1 deaths, broken by 12, good 4"],
    ),
    "what comes back after a crash loop is to blame for its own": (
        "4D 4R 5U 45D 45R 47X 48R 49X 50G 55D 55R 57X 58R 59X",
        [
            "47-50: 2 deaths, broken by 45, good 4",
            "55: 2 deaths, broken by 55, good 4",
        ],
    ),
    "what comes back and is refused is to blame itself": (
        "4D 4R 5U 45D 45R 47X 50G 55C 56N",
        ["47-50: 1 deaths, broken by 45, good 4", "55: 0 deaths, broken by 55, good 4"],
    ),
    "a job that is done, and changed for the worse later": (
        "4D 4R 5U 6F 900D 900R 901X",
        ["900: 1 deaths, broken by 900, good 4"],
    ),
    "a job that is done, and run again by an operator": (
        "4D 4R 5U 6F 900Q 900R 901X",
        ["900: 1 deaths, broken by 4, good None"],
    ),
    "a job that fails, and then is done": (
        "4D 4R 5U 6X 7R 8U 9F 20Q 20R 21U 22X",
        [
            "6-8: 1 deaths, broken by 4, good None",
            "22: 1 deaths, broken by 4, good None",
        ],
    ),
    "one on demand fails for its first client": (
        "4W 900R 901X",
        ["900: 1 deaths, broken by 4, good None"],
    ),
    "the bad one after a bad one": (
        "4D 4R 6X 7R 8X 10D 10R 11X 20D 20R 21U 22L 30D 30R 31X",
        [
            "4-21: 3 deaths, broken by 4, good None, 10x 20v",
            "31: 1 deaths, broken by 30, good 20",
        ],
    ),
    "a stop by an operator is no death": ("4D 4R 5U 6L 10Q 11E 20Q 20R 21U", []),
    "a record that begins in the middle": ("50X 51R 52X 60D 60R 61U", [
        "50-61: 2 deaths, broken by None, good None, 60v",
    ]),
}  # fmt: skip


@pytest.mark.parametrize(("told", "expected"), CASES.values(), ids=list(CASES))
def test_it_finds_the_breaks(told: str, expected: list[str]) -> None:
    assert [line(one) for one in breaks(marks(told))] == expected


@pytest.mark.parametrize(
    ("patience", "expected"),
    [
        pytest.param(Patience(), ["10-15: 2 deaths, broken by 4, good None"], id="default"),
        pytest.param(
            Patience(proven=SECOND), ["10-15: 2 deaths, proved 4, good 4"], id="proven sooner"
        ),
        pytest.param(
            Patience(quiet=2 * SECOND),
            ["10-11: 1 deaths, broken by 4, good None", "14-15: 1 deaths, broken by 4, good None"],
            id="quiet sooner",
        ),
    ],
)
def test_the_patience_says_when(patience: Patience, expected: list[str]) -> None:
    told = marks("4D 4R 5U 10X 10R 11U 14X 14R 15U")
    assert [line(one) for one in breaks(told, patience)] == expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param("4D 4R 5U 25X 25R 26U 56D 56R 57U 190L", (25, 26, 0), id="one death"),
        pytest.param(
            "4D 4R 5U 9X 9R 10U 14X 14R 15U 19D 20E 20R 21U 90L", (9, 21, 9), id="an edit in a loop"
        ),
        pytest.param("4D 4R 5U 9X 9R 10U 13Q 13R 14U 16X 16R 17U", (9, 17, 6), id="a reload in it"),
        pytest.param(
            "4D 4R 5U 9X 9R 10U 13Q 14E 14R 15U 16X 16R 17U", (9, 17, 5), id="a restart in it"
        ),
    ],
)
def test_how_long_it_was_up_in_a_break(told: str, expected: tuple[int, int, int]) -> None:
    (one,) = breaks(marks(told))
    assert one.until is not None
    assert tuple(at // SECOND for at in (one.since, one.until, one.up_for)) == expected
