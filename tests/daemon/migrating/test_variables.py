"""The variables that programs get from written configs, which are run for this."""

from pathlib import Path

import pytest
from emperord.daemon.migrating import run
from support.migrating import ENVIRON, printed


def written(source: Path) -> Path:
    """The one config that is written from a file."""
    folder = source.parent / "written"
    run.migrate(run.Request((str(source),), str(folder)), ENVIRON)
    (config,) = folder.glob("*.ini*")
    return config


@pytest.mark.parametrize(
    ("command", "env", "says"),
    [
        pytest.param("PORT=8000 A=1 printenv PORT A", None, "8000 1", id="alone"),
        pytest.param("PORT=8000 A=1 printenv PORT A", "A=file\n", "8000 1", id="over .env"),
        pytest.param("PORT=8000 A=1 printenv PORT A", "PORT=1\n", "8000 1", id="over its PORT"),
        pytest.param("A='x  y' printenv PORT A", "PORT=7\nA=f\n", "7 x  y", id="beside PORT"),
        pytest.param("B=2 printenv A B", "A=file\n", "file 2", id="beside .env"),
        pytest.param("A=1 printenv A 2>&1", "A=file\n", "1", id="in a shell"),
    ],
)
def test_variables_before_a_command_win(
    command: str, env: str | None, says: str, tmp_path: Path
) -> None:
    if env is not None:
        tmp_path.joinpath(".env").write_text(env)
    tmp_path.joinpath("Procfile").write_text(f"web: {command}\n")
    config = written(tmp_path / "Procfile")
    assert printed(config).splitlines() == says.split(" ", 1)


def test_an_emperor_behind_variables_is_no_vassal(tmp_path: Path) -> None:
    tmp_path.joinpath(".env").write_text("A=file\n")
    tmp_path.joinpath("Procfile").write_text("web: A=1 uwsgi --emperor /v\n")
    assert written(tmp_path / "Procfile").name == "web.ini.off"
