"""Programs of supervisord that end early, or whose keys come twice: what is told of them."""

from pathlib import Path

import pytest
from emperord.daemon.migrating import supervisord


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        pytest.param(
            "autorestart=false", ["autorestart = false: an end within startsecs"], id="no"
        ),
        pytest.param("autorestart=false\nstartsecs=0", [], id="it is up at once"),
        pytest.param(
            "autorestart=off\nstartretries=0",
            ["startretries = 0: with restart = no"],
            id="no retries",
        ),
        pytest.param(
            "startretries=2\nautorestart=false",
            ["startretries = 2: with restart = no", "autorestart = false: an end within"],
            id="retries",
        ),
        pytest.param(
            "autorestart=unexpected", ["autorestart = unexpected: a success"], id="unexpected"
        ),
        pytest.param("autorestart=unexpected\nstartsecs=0", [], id="unexpected, up at once"),
        pytest.param("autorestart=true", [], id="always"),
    ],
)
def test_an_early_end_that_supervisord_tries_again_is_told(
    lines: str, told: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "supervisord.conf"
    path.write_text(f"[program:a]\ncommand=/srv/a\n{lines}\n")
    found, _ = supervisord.read(str(path), path.name, {})
    (vassal,) = found.vassals
    says = [f"{each.line}: {each.says}" for each in vassal.told if each.says]
    assert len(says) == len(told)
    for line, start in zip(says, told, strict=True):
        assert line.startswith(start)
