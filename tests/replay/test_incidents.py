"""The incidents of ``tools/incidents``: their journals are whole, and hold what the page says."""

from collections.abc import Callable

import pytest
from support.incidents import known, told


@pytest.mark.parametrize(
    ("name", "phases"),
    [
        ("crash-loop", {"ready": 9, "held": 1}),
        ("edited", {"queued": 3}),
        ("held", {"held": 2, "ready": 2}),
        ("killed", {"accepting": 3, "held": 1}),
        ("outage", {"ready": 11}),
        ("rolling", {"accepting": 48, "reloading": 2}),
    ],
)
def test_an_incident_leaves_a_whole_journal(
    incident: Callable[[str], str], name: str, phases: dict[str, int]
) -> None:
    journal = incident(name)
    assert "verified" in told(journal, "verify")
    found = [vassal["phase"] for vassal in known(journal, "state")["vassals"]]
    assert {phase: found.count(phase) for phase in set(found)} == phases
