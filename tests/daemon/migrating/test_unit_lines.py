"""Lines of units that come several times, or that systemd ignores: each is taken or named."""

from pathlib import Path

import pytest
from emperord.daemon.migrating import unit

START = "ExecStart=/srv/app\n"
LATER = "a later line has this key"
NO_COMMAND = "a reload is one signal"


def read(text: str, folder: Path) -> tuple[list[str], list[str]]:
    """The settings of a service, and what is told of its lines."""
    path = folder / "app.service"
    path.write_text(f"[Service]\n{text}")
    found, _ = unit.read(str(path), path.name, {})
    (vassal,) = found.vassals
    settings = [f"{key} = {value}" for told in vassal.told for key, value in told.settings]
    return settings, [f"{told.line}: {told.says}" for told in vassal.told if told.says]


@pytest.mark.parametrize(
    ("text", "wanted", "told"),
    [
        pytest.param(
            "ExecReload=/usr/sbin/sshd -t\nExecReload=/bin/kill -HUP $MAINPID\n",
            ["reload-signal = HUP", "reload = signal"],
            [f"ExecReload = /usr/sbin/sshd -t: {NO_COMMAND}"],
            id="a test before a reload",
        ),
        pytest.param(
            "ExecReload=/bin/kill -USR2 $MAINPID\nExecReload=/bin/kill -WINCH $MAINPID\n",
            ["reload-signal = USR2", "reload = signal"],
            [f"ExecReload = /bin/kill -WINCH $MAINPID: {NO_COMMAND}"],
            id="two signals of a reload",
        ),
        pytest.param(
            "ExecReload=/srv/a\nExecReload=/srv/b\n",
            ["reload = restart"],
            ["ExecReload = /srv/a: no command", "ExecReload = /srv/b: no command"],
            id="two commands of a reload",
        ),
        pytest.param(
            "ExecStop=/bin/kill -QUIT $MAINPID\nExecStop=/usr/bin/sleep 3\n",
            ["stop-signal = QUIT"],
            ["ExecStop = /usr/bin/sleep 3: the stop signal is sent instead"],
            id="a wait after the stop signal",
        ),
        pytest.param(
            "ExecStop=/bin/kill -QUIT $MAINPID\nExecStop=/bin/kill -TERM $MAINPID\n",
            ["stop-signal = QUIT"],
            ["ExecStop = /bin/kill -TERM $MAINPID: one signal stops a vassal"],
            id="two stop signals",
        ),
        pytest.param(
            "UMask=022\nUMask=027\n", ["umask = 027"], [f"UMask = 022: {LATER}"], id="a setting"
        ),
        pytest.param("User=one\nUser=two\n", ["user = two"], [f"User = one: {LATER}"], id="a user"),
        pytest.param(
            "Type=simple\nType=notify\n",
            ["ready = notify"],
            [f"Type = simple: {LATER}"],
            id="a type",
        ),
        pytest.param("UMask=027\nUMask=027\n", ["umask = 027"], [], id="the same"),
        pytest.param("UMask=022\nUMask=\nUMask=027\n", ["umask = 027"], [], id="taken back"),
        pytest.param(
            "Environment=A=1 B 'C D'\n",
            ["environment = A=1"],
            ["Environment = A=1 B 'C D': B has no =", "Environment = A=1 B 'C D': C D has no ="],
            id="words that are no variables",
        ),
        pytest.param("UMask\n", [], ["UMask: it has no ="], id="no value"),
        pytest.param(
            "UMask=027\nUMask\n", ["umask = 027"], ["UMask: it"], id="nothing is taken back"
        ),
        pytest.param("UMask=027 \\\n", ["umask = 027"], [], id="it goes on at the end"),
        pytest.param(
            "[Unit]\nAfter=pump.service\nAfter=\n", [], ["After = pump.service: all"], id="an order"
        ),
    ],
)
def test_each_line_is_taken_or_named(
    text: str, wanted: list[str], told: list[str], tmp_path: Path
) -> None:
    settings, says = read(START + text, tmp_path)
    usual, _ = read(START, tmp_path)
    keys = [setting.partition(" = ")[0] for setting in wanted]
    rest = [each for each in usual if each.partition(" = ")[0] not in keys]
    assert sorted(settings) == sorted(rest + wanted)
    assert len(says) == len(told)
    for line, start in zip(sorted(says), sorted(told), strict=True):
        assert line.startswith(start)


def test_a_semicolon_alone_is_no_program(tmp_path: Path) -> None:
    _, says = read("ExecStart=;\n", tmp_path)
    assert says == ["ExecStart = ;: it names no program"]


def test_a_program_before_none_is_named(tmp_path: Path) -> None:
    _, says = read("ExecStartPre=/srv/a\n", tmp_path)
    assert says == ["ExecStart: there is none", "ExecStartPre = /srv/a: it comes before no program"]


def test_each_line_of_a_socket_is_taken_or_named(tmp_path: Path) -> None:
    path = tmp_path / "app.socket"
    path.write_text("[Socket]\nListenStream=@a\nSocketUser=a\nSocketUser=b\nSocketGroup=c\nOdd\n")
    settings, says = read(START, tmp_path)
    assert [each for each in settings if "listen" in each] == ["listen = @a", "listen-owner = b:c"]
    assert sorted(says) == [
        "app.socket: Odd: it has no =, so systemd ignores it",
        "app.socket: SocketUser = a: a later line has this key, and counts alone",
    ]
