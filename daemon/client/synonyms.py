"""Words that people type for commands of ``emperor-ctl``, from other programs, and what to type."""

from typing import Final

_GOES: Final = (
    "a vassal goes when its source has it no longer: remove its file, row or entry there;"
    " 'emperor-ctl stop' stops it and holds it meanwhile"
)
_COMES: Final = "a vassal comes when its source has it: add a file, row or entry there"
_LIST: Final = "'emperor-ctl list' lists the vassals"
_SHOW: Final = "'emperor-ctl show' shows all that is known of a vassal"
_START: Final = "'emperor-ctl start' starts a vassal, also one that is held"
_STOP: Final = "'emperor-ctl stop' stops a vassal, and holds it until it is started"
_KILL: Final = "'emperor-ctl stop' stops a vassal; the daemon kills it if that takes too long"
_RESTART: Final = "'emperor-ctl restart' stops a vassal and starts it anew"
_RELOAD: Final = "'emperor-ctl reload' reloads a vassal in place"
_RETRY: Final = "'emperor-ctl retry' starts a throttled or barred vassal now"
_EVENTS: Final = "'emperor-ctl events -f' follows what happens"
_LOG: Final = "'emperor-ctl logs -f' follows what vassals write"
_TEXT: Final = "'emperor-replay show' shows the config of a vassal, 'diff' what changed"
_DAEMON: Final = (
    "SIGTERM ends the daemon and stops all vassals ('systemctl stop' of its unit does that);"
    " 'emperor-ctl stop --all' stops and holds the vassals alone"
)
_UNDO: Final = "'emperor-replay undo' says how to bring back what an event changed"

_WORDS: Final = {
    _GOES: "delete del rm remove destroy drop unload unregister purge forget",
    _COMES: "add create new load register deploy import",
    _LIST: "ps ls dir vassals fleet jobs units",
    _SHOW: "info describe inspect detail details get",
    _START: "enable up run resume unhold release unpause continue begin launch",
    _STOP: "disable down halt hold pause suspend end terminate",
    _KILL: "kill signal pkill killall sigterm",
    _RESTART: "bounce reboot recycle cycle respawn try-restart force-reload reset",
    _RELOAD: "refresh hup touch graceful update",
    _RETRY: "reset-failed unbar unthrottle clear",
    _EVENTS: "log-events watch follow monitor journalctl event",
    _LOG: "fg output stdout stderr",
    _TEXT: "cat config diff edit",
    _DAEMON: "shutdown quit exit poweroff stop-all",
    _UNDO: "undo revert",
    "'emperor-ctl reopen' reopens the daemon's log": "rotate logrotate usr1 reopen-logs",
    "'emperor-ctl status' says how the daemon is": "health ping version avail state uptime",
    "'emperor-replay history' has all deploys": "history deploys blame audit",
}
HINTS: Final = {word: text for text, words in _WORDS.items() for word in words.split()}
