"""``emperor-ctl explain`` shows the directory and the variables that a config's settings give."""

from emperord.daemon.control.explain import Explainer
from emperord.daemon.core.fleet import Vassal
from emperord.journal.events import Spec
from emperord.journal.policy import Policy


def test_settings_of_the_world() -> None:
    settings = {
        "command": "/bin/true",
        "directory": "/srv",
        "environment": "COLOUR='light blue'",
        "environment-file": "-/etc/x.env",
    }
    vassal = Vassal("a.ini", "dir:///v", Spec(ts=1, cwd="/v", settings=settings), "ready", 1, 1)
    said = Explainer(Policy(), lambda digest: None, {"COLOUR": "red"})(vassal)
    assert said["cwd"] == "/srv"
    origin = "environment in its [emperor] section"
    shown = {"name": "COLOUR", "value": "light blue", "from": origin}
    assert shown in said["environment"]
    assert "each start reads its environment from /etc/x.env also" in said["notes"]
