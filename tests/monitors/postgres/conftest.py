"""The databases that tests of pg:// read from, and a server that they break."""

import pytest
from support.postgres import PostgresSource


@pytest.fixture
def source() -> PostgresSource:
    return PostgresSource()
