"""Names that are suggested for one that is not known."""

import time

import pytest
from emperord.daemon.cli.nearest import (
    did_you_mean,
    is_pattern,
    nearest,
    nearest_words,
    other_source,
)

KNOWN = ("hello.ini", "/etc/vassals/shop.xml", "app-1.ini", "app-2.ini", "Web.yaml", "a.ini")

NEAR = {
    "hello": ["hello.ini"],
    "hello.yaml": ["hello.ini"],
    "helo.ini": ["hello.ini"],
    "shop": ["/etc/vassals/shop.xml"],
    "shop.xml": ["/etc/vassals/shop.xml"],
    "web": ["Web.yaml"],
    "app": ["app-1.ini", "app-2.ini"],
    "app-1": ["app-1.ini"],
    "b.ini": [],
    "": [],
}


@pytest.mark.parametrize(("told", "near"), NEAR.items(), ids=[told or "empty" for told in NEAR])
def test_which_names_are_near(told: str, near: list[str]) -> None:
    assert nearest(told, KNOWN) == near


def test_words_are_near_whatever_their_case() -> None:
    assert nearest_words("RESTRAT", ("start", "restart", "list")) == ["restart", "start"]
    assert nearest_words("zzz", ("start", "restart")) == []


@pytest.mark.parametrize(
    ("near", "question"),
    [
        ([], ""),
        (["a.ini"], "did you mean a.ini?"),
        (["a.ini", "\x1b"], r"did you mean a.ini or \x1b?"),
    ],
)
def test_the_question(near: list[str], question: str) -> None:
    assert did_you_mean(near) == question


@pytest.mark.parametrize(
    ("told", "sources", "other"),
    [
        ("dir:///w", {"dir:///v": "dir:v"}, "did you mean dir:///v?"),
        ("dirv", {"dir:///v": "dir:v"}, "did you mean dir:v?"),
        ("x", {"dir:///v": "dir:v", "pg://y": ""}, "there are dir:v (dir:///v), - (pg://y)"),
        ("x", {}, "there are none"),
    ],
    ids=["url", "name", "neither", "none"],
)
def test_another_source(told: str, sources: dict[str, str], other: str) -> None:
    assert other_source(told, sources) == other


def test_a_name_is_found_among_many_that_are_long() -> None:
    known = [f"{n % 100:03}{'x' * 240}{n}.ini" for n in range(20_000)] + ["shop.ini"]
    began = time.thread_time()
    assert nearest("shpo.ini", known) == ["shop.ini"]
    assert nearest("y" * 250, known) == []
    assert time.thread_time() - began < 5


@pytest.mark.parametrize(("told", "pattern"), [("a.ini", False), ("a*", True), ("a?", True)])
def test_patterns(told: str, pattern: bool) -> None:
    assert is_pattern(told) is pattern
