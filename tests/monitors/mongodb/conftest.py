"""The servers that tests of mongodb:// read from."""

import pytest
from support.mongodb import MongoSource


@pytest.fixture
def source() -> MongoSource:
    return MongoSource()
