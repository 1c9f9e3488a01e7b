"""Tests that only root can run: without root they fail and say so, they skip nothing."""

import os

import pytest


def need_root(why: str) -> None:
    """Fail the test if this is not root. ``why`` goes on from "only root may"."""
    if os.geteuid() != 0:
        pytest.fail(f"only root may {why}: run the tests as root, as CI does", pytrace=False)
