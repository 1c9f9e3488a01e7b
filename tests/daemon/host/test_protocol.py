"""Bytes of the emperor protocol: what they mean, and the frame that carries a config."""

import pytest
from emperord.daemon.core.fleet import PHASES, Phase, Vassal
from emperord.daemon.host import emperor_protocol
from emperord.journal.events import KINDS, Spec

BYTES = range(256)
SPOKEN: dict[int, tuple[set[Phase], str]] = {
    1: ({"starting"}, "vassal_ready"),
    5: ({"starting", "ready", "reloading"}, "vassal_accepting"),
    17: (set(PHASES) - {"stopping"}, "vassal_loyal"),
    22: (set(PHASES) - {"stopping"}, "vassal_resigned"),
    26: (set(PHASES) - {"stopping", "reloading"}, "heartbeat_started"),
}


def vassal(phase: Phase, *, loyal: bool = False, heartbeat: bool = False) -> Vassal:
    return Vassal(
        "a.ini", "dir:///v", Spec(ts=1), phase, 0, 1, attempt=1, loyal=loyal, heartbeat=heartbeat
    )


@pytest.mark.parametrize("phase", PHASES)
def test_each_byte_means_one_event_or_none(phase: Phase) -> None:
    expected = {byte: kind for byte, (phases, kind) in SPOKEN.items() if phase in phases}
    said = {byte: emperor_protocol.news(vassal(phase), byte) for byte in BYTES}
    assert {byte: kind for byte, kind in said.items() if kind is not None} == expected
    assert set(expected.values()) <= KINDS.keys()


@pytest.mark.parametrize("phase", PHASES)
def test_what_is_known_costs_no_event(phase: Phase) -> None:
    known = vassal(phase, loyal=True, heartbeat=True)
    assert emperor_protocol.news(known, emperor_protocol.LOYAL) is None
    assert emperor_protocol.news(known, emperor_protocol.HEARTBEAT) is None


def test_a_first_word_is_heard_once() -> None:
    phases: tuple[Phase, ...] = ("ready", "accepting", "reloading")
    assert [emperor_protocol.news(vassal(phase), emperor_protocol.READY) for phase in phases] == [
        None
    ] * 3
    assert emperor_protocol.news(vassal("accepting"), emperor_protocol.ACCEPTING) is None


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        pytest.param(b"", b"s\0\0\0", id="empty"),
        pytest.param(b"[uwsgi]\n", b"s\x08\0\0[uwsgi]\n", id="short"),
        pytest.param(b"x" * 0x0102, b"s\x02\x01\0" + b"x" * 0x0102, id="little-endian"),
        pytest.param(b"x" * 65535, b"s\xff\xff\0" + b"x" * 65535, id="longest"),
    ],
)
def test_config_frame(text: bytes, frame: bytes) -> None:
    assert emperor_protocol.config_frame(text) == frame


def test_a_longer_config_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        emperor_protocol.config_frame(b"x" * 65536)


def test_the_bytes_are_those_of_uwsgi() -> None:
    """Literal, as they are upstream's and not ours to change."""
    assert (emperor_protocol.STOP, emperor_protocol.RELOAD, emperor_protocol.STOP_GRACEFULLY) == (
        b"\0",
        b"\1",
        b"\2",
    )
