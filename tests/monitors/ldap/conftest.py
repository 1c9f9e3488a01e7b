"""The sources that tests of ldap:// read from, and servers that they break."""

from collections.abc import Iterator

import pytest
from support.ldap import (
    LdapSource,
    PlainLdapSource,
)
from support.services import Service, service


@pytest.fixture(params=["synchronized", "plain"])
def source(request: pytest.FixtureRequest) -> LdapSource:
    """Both are to find the same."""
    return LdapSource() if request.param == "synchronized" else PlainLdapSource()


@pytest.fixture
def synchronized() -> LdapSource:
    return LdapSource()


@pytest.fixture(scope="module")
def breakable() -> Iterator[Service]:
    with service("openldap") as running:
        yield running


@pytest.fixture
def server(breakable: Service) -> Iterator[Service]:
    """A server to be stopped, killed and frozen; it runs again when the test is over."""
    yield breakable
    breakable("thaw")
