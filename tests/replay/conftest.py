"""Incidents of ``tools/incidents``, each made once a run."""

from collections.abc import Callable
from functools import cache

import pytest
from support.incidents import made


@pytest.fixture(scope="session")
def incident(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The path of the journal that an incident left, by the incident's name."""
    return cache(lambda name: made(name, tmp_path_factory.mktemp(name)))
