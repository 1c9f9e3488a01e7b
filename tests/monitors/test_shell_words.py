"""Words of a command line: those of a shell, in linear time."""

import shlex
import time
from collections.abc import Callable

import pytest
from emperord.monitors import shell_words
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import examples

_ALPHABET = " '\"\\\\ab\t\n\r\v#$\u00e9\u00a0"


def outcome(split: Callable[[str], list[str]], text: str) -> list[str] | str:
    try:
        return split(text)
    except ValueError as error:
        return str(error)


@pytest.mark.search
@settings(max_examples=examples(1000), deadline=None)
@given(st.text(alphabet=_ALPHABET, max_size=12))
def test_words_are_those_of_the_standard_library(text: str) -> None:
    assert outcome(shell_words.split, text) == outcome(shlex.split, text)


MEGABYTE = 1 << 20
TEXTS = {
    "one word": "a" * MEGABYTE,
    "in double quotes": '"' + "a" * MEGABYTE + '"',
    "escaped in double quotes": '"' + "\\a" * (MEGABYTE // 2),
    "escapes": "\\a" * (MEGABYTE // 2),
    "empty words": "''" * (MEGABYTE // 2),
    "an open quote": '"' * (MEGABYTE + 1),
    "spaces": " " * MEGABYTE,
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_megabyte_takes_linear_time(text: str) -> None:
    """``shlex.split`` takes 15 s for one word of a megabyte."""
    before = time.process_time()
    outcome(shell_words.split, text)
    assert time.process_time() - before < 4
