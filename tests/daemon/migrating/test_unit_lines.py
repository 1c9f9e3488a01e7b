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
            "Type=notify-reload\nReloadSignal=USR2\nExecReload=/bin/kill -HUP $MAINPID\n",
            ["ready = notify", "reload = signal", "reload-signal = USR2"],
            ["ExecReload = /bin/kill -HUP $MAINPID: a reload is the signal"],
            id="a signal beside that of notify-reload",
        ),
        pytest.param(
            "Type=notify-reload\nExecReload=/bin/kill -USR1 $MAINPID\nExecReload=/srv/a\n",
            ["ready = notify", "reload = signal"],
            [
                "ExecReload = /bin/kill -USR1 $MAINPID: a reload is the signal",
                "ExecReload = /srv/a: a reload is the signal",
            ],
            id="commands beside the signal of notify-reload",
        ),
        pytest.param(
            "Type=notify-reload\nReloadSignal=SIGHUP\nExecReload=/bin/kill -1 $MAINPID\n",
            ["ready = notify", "reload = signal", "reload-signal = SIGHUP"],
            [],
            id="the signal of notify-reload twice",
        ),
        pytest.param(
            "ReloadSignal=USR2\nExecReload=/bin/kill -HUP $MAINPID\n",
            ["reload-signal = HUP", "reload = signal"],
            ["ReloadSignal = USR2: it has no effect without Type=notify-reload"],
            id="a signal of a reload without notify-reload",
        ),
        pytest.param(
            "KillSignal=SIGQUIT\nExecStop=/bin/kill -INT $MAINPID\n",
            ["stop-signal = INT"],
            ["KillSignal = SIGQUIT: ExecStop= sends another signal first"],
            id="a signal behind that of a stop",
        ),
        pytest.param(
            "KillSignal=SIGINT\nExecStop=/bin/kill -INT $MAINPID\n",
            ["stop-signal = INT"],
            [],
            id="the signal of a stop twice",
        ),
        pytest.param(
            "KillSignal=SIGQUIT\nExecStop=/usr/bin/sleep 3\n",
            ["stop-signal = SIGQUIT"],
            ["ExecStop = /usr/bin/sleep 3: the stop signal is sent instead"],
            id="a wait before the stop signal",
        ),
        pytest.param(
            "Type=notify\nTimeoutSec=9\nTimeoutStopSec=7\n",
            ["ready = notify", "ready-timeout = 9s", "stop-timeout = 7s"],
            ["TimeoutSec = 9: a later line has the stop-timeout"],
            id="a time of a stop after both times",
        ),
        pytest.param(
            "Type=notify\nTimeoutStartSec=5\nTimeoutStopSec=7\nTimeoutSec=9\n",
            ["ready = notify", "ready-timeout = 9s", "stop-timeout = 9s"],
            [
                "TimeoutStartSec = 5: a later line has the ready-timeout",
                "TimeoutStopSec = 7: a later line has the stop-timeout",
            ],
            id="both times after each",
        ),
        pytest.param(
            "TimeoutStopSec=7\nTimeoutSec=7\n",
            ["stop-timeout = 7s"],
            ["TimeoutSec = 7: its program counts as up once it runs"],
            id="the same time of a stop",
        ),
        pytest.param(
            "MemoryLimit=2G\nMemoryMax=1G\n",
            ["memory-max = 1G"],
            ["MemoryLimit = 2G: MemoryMax= counts in its place"],
            id="two limits of memory",
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
    path.write_text(
        "[Socket]\nListenStream=@a\nSocketUser=a\nSocketUser=b\nSocketGroup=c\nOdd\n"
        "SocketMode=0666\nSocketMode=0660\nBacklog=5\nBacklog=5\n"
    )
    settings, says = read(START, tmp_path)
    assert [each for each in settings if "listen" in each] == [
        "listen = @a",
        "listen-mode = 0660",
        "listen-backlog = 5",
        "listen-owner = b:c",
    ]
    assert sorted(says) == [
        "app.socket: Odd: it has no =, so systemd ignores it",
        "app.socket: SocketMode = 0666: a later line has this key, and counts alone",
        "app.socket: SocketUser = a: a later line has this key, and counts alone",
    ]
