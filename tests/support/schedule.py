"""Which tests follow each other in one process, and which files begin, when several run at once.

A file stays together. So do all tests of one server: its process starts it once (the function
``shared`` of its module). Long tests begin, so that no process is left with one at the end.
"""

import re

from sources.table import ROWS
from xdist.scheduler.loadscope import LoadScopeScheduling  # type: ignore[import-untyped]

# A server, and the tests that share one.
SERVERS = {
    "postgres": re.compile(r"monitors/(postgres/|test_hostile_servers\.|test_contract\..*\[pg)"),
    "mongodb": re.compile(r"monitors/(mongodb/|test_contract\..*\[mongodb)"),
    "rabbitmq": re.compile(
        r"monitors/(amqp/|test_contract\..*\[amqp)|daemon/(\w+/)?test_amqp_daemon\."
    ),
    # The tests of outages have servers of their own.
    "zookeeper": re.compile(r"monitors/(zookeeper/(?!test_outages)|test_contract\..*\[zoo)"),
    "openldap": re.compile(r"monitors/(ldap/|test_contract\..*\[ldap)"),
}
# The suite over every source breaks its servers. Those of a row start once for it.
ROW = re.compile(rf"sources/test_\w+\.py::\w+\[(?:.*-)?({'|'.join(ROWS)})\b")
FIRST = ("simulation/", "crash/", "faults/", "sources/", *SERVERS, "daemon/", "monitors/")


def scope_of(nodeid: str) -> str:
    """The name of what a test stays together with: a server, or its file."""
    for server, tests in SERVERS.items():
        if tests.search(nodeid):
            return server
    if row := ROW.search(nodeid):
        return f"sources/{row[1]}"
    return nodeid.partition("::")[0].removeprefix("tests/")


def turn_of(nodeid: str) -> int:
    """The place of a test's kind in the order of a run."""
    scope = scope_of(nodeid)
    return next((n for n, kind in enumerate(FIRST) if scope.startswith(kind)), len(FIRST))


class ByServer(LoadScopeScheduling):  # type: ignore[misc]
    """Gives processes one server's tests, or one file's, after the other."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)
