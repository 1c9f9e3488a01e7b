"""Facts about the config of a vassal: which part of a deploy keeps the wanted one from running."""

import pytest
from emperord.daemon.core.fleet import Fleet, Refusal, Vassal
from emperord.journal.events import Spec
from emperord.replay.config_facts import config_facts

CHECKED = {"preflight": "true"}
REPLACED = {"reload": "replace"}


@pytest.mark.parametrize(
    ("settings", "refused", "label"),
    [
        (CHECKED, Refusal(3, 0, "exit code 1"), "preflight"),
        (REPLACED, Refusal(3, 0, "its new instance ended: exit code 3"), "refused"),
        (REPLACED, Refusal(3, 0, "2 failures in a row", rolled_back=True), "rollback"),
    ],
    ids=["by its preflight", "by its new instance", "rolled back"],
)
def test_a_change_that_does_not_run_is_told_by_its_part(
    settings: dict[str, str], refused: Refusal, label: str
) -> None:
    spec = Spec(ts=1, config="c1", settings=settings)
    vassal = Vassal("a.ini", "dir:v", spec, "ready", 0, 2, refused=refused, kept=spec)
    labels = [told for told, _ in config_facts(vassal, Fleet())]
    assert labels[0] == label
