"""The setting ``rollback``."""

import pytest
from emperord.monitors import defaults, settings

VALUES = {
    "0": None,
    "1": None,
    "100": None,
    "101": "101 is no number of failures; write 1 to 100, or 0 for no rollback",
    "-1": "-1 is no number of failures",
    "no": "no is no number of failures",
    "03": "03 is no number of failures",
    "1.5": "1.5 is no number of failures",
    "٣": "٣ is no number of failures",
    "9" * 4000: "9… is no number of failures",
    "": "has no value",
}


@pytest.mark.parametrize(("value", "flaw"), VALUES.items(), ids=[key[:9] for key in VALUES])
def test_values(value: str, flaw: str | None) -> None:
    found, told = settings.read("a.ini", f"[emperor]\nrollback = {value}\n".encode())
    if flaw is None:
        assert (found, told) == ({"rollback": value}, None)
    else:
        assert found == {}
        assert told is not None
        assert flaw in told
        assert len(told) < 200


def test_it_is_a_default_of_all() -> None:
    assert defaults.merged({}, {"rollback": "3"}) == {"rollback": "3"}
    assert defaults.merged({"rollback": "0"}, {"rollback": "3"}) == {"rollback": "0"}
