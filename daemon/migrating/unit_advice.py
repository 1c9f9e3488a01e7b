"""Keys of units that no setting stands for, and what to do instead."""

from typing import Final

_ORDER: Final = "all vassals start at once; let a program wait for what it needs, or retry"
_SANDBOX: Final = "the daemon's own unit can have it, for all of its vassals"
_LIMITS: Final = "put prlimit before the command, or give it to the daemon's own unit"
_PRIORITY: Final = "put nice, ionice or chrt before the command"
_LOG: Final = "output goes to a log in --log-directory; 'emperor-ctl logs' shows it"
_RETRIES: Final = "a vassal is tried for ever, with a delay that doubles up to --max-throttle"
_STOPS: Final = "all that a vassal leaves behind is killed when its program has ended"

# Keys without an effect on how a program runs, or with the same one here.
TAKEN: Final = frozenset(
    (
        ("Unit", "Description"), ("Unit", "Documentation"), ("Unit", "DefaultDependencies"),
        ("Install", "WantedBy"), ("Install", "RequiredBy"), ("Install", "Alias"),
        ("Install", "DefaultInstance"), ("Install", "Also"), ("Service", "NotifyAccess"),
        ("Service", "PassEnvironment"), ("Service", "GuessMainPID"), ("Service", "SendSIGKILL"),
    )
)  # fmt: skip
ORDERS: Final = ("After", "Requires", "Wants", "BindsTo")
# The daemon starts after these, and its vassals with it; the socket of a service is its own.
AT_BOOT: Final = (
    "basic.target", "local-fs.target", "network.target", "sysinit.target", "syslog.target",
)  # fmt: skip
UNIT: Final = {
    **dict.fromkeys(
        ("After", "Before", "Requires", "Wants", "BindsTo", "PartOf", "Requisite", "Upholds"),
        _ORDER,
    ),
    "Conflicts": "stop the other one yourself",
    "StartLimitIntervalSec": _RETRIES,
    "StartLimitBurst": _RETRIES,
    "StartLimitInterval": _RETRIES,
    "StartLimitAction": "'emperor-ctl events -f --json' tells each death",
    "OnFailure": "'emperor-ctl events -f --json' tells each death",
    "OnSuccess": "'emperor-ctl events -f --json' tells each end",
    "RequiresMountsFor": _ORDER,
}
SERVICE: Final = {
    **dict.fromkeys(("StandardOutput", "StandardError"), _LOG),
    **dict.fromkeys(("SyslogIdentifier", "SyslogFacility", "SyslogLevel", "LogLevelMax"), _LOG),
    "RestartSec": "the delay is --throttle, and doubles with each death in a row",
    "RestartSteps": "the delay doubles with each death in a row",
    "RestartMaxDelaySec": "give the daemon --max-throttle",
    **dict.fromkeys(
        ("StartLimitIntervalSec", "StartLimitInterval", "StartLimitBurst", "StartLimitAction"),
        _RETRIES,
    ),
    "RestartForceExitStatus": "restart = always is for that",
    "ExecStartPost": "let another vassal do it, or the program itself",
    "ExecStopPost": "let ExecStartPre tidy up before the next start",
    "ExecCondition": "let the command look, and end with a code of success-exit-codes",
    "RemainAfterExit": "an end stays down, as done",
    "PIDFile": "a vassal's process is known by itself",
    "BusName": "its program counts as up once it runs; see ready",
    "TimeoutAbortSec": "a hung program is killed at once",
    "RuntimeMaxSec": "let a timer of systemd run 'emperor-ctl restart'",
    "SendSIGHUP": "the stop signal alone is sent",
    "FinalKillSignal": _STOPS,
    "RestartKillSignal": "a restart stops with stop-signal",
    "WatchdogSignal": "a hung program is killed",
    "UnsetEnvironment": "put env -u NAME before the command",
    "SupplementaryGroups": "a vassal has the groups of its account; add the user to the group",
    "AmbientCapabilities": "for a port below 1024 let the daemon keep it, by listen",
    "PAMName": "no session is opened",
    "Slice": "the daemon's own unit can have it",
    "Delegate": "each vassal has a cgroup of its own below the daemon's",
    **dict.fromkeys(
        ("StateDirectory", "CacheDirectory", "LogsDirectory", "ConfigurationDirectory"),
        "make it for the user once, and set the variable by environment, if the program uses it",
    ),
    **dict.fromkeys(("RuntimeDirectoryMode", "RuntimeDirectoryPreserve"), "see RuntimeDirectory"),
    **dict.fromkeys(("Nice", "IOSchedulingClass", "IOSchedulingPriority"), _PRIORITY),
    **dict.fromkeys(("CPUSchedulingPolicy", "CPUSchedulingPriority"), _PRIORITY),
    "CPUAffinity": "put taskset before the command",
    "OOMScoreAdjust": "put choom before the command",
    **dict.fromkeys(
        ("MemoryHigh", "MemorySwapMax", "MemoryMin", "MemoryLow", "CPUQuota", "IOWeight"),
        "memory-max, cpu-weight and tasks-max are the limits of a vassal",
    ),
    **dict.fromkeys(("CPUShares", "BlockIOWeight"), "cpu-weight is the share of a vassal"),
    **dict.fromkeys(
        ("CPUAccounting", "MemoryAccounting", "TasksAccounting", "IOAccounting", "IPAccounting"),
        "a vassal's cgroup counts what its controllers count",
    ),
    "OOMPolicy": "the kernel kills what is over memory-max; a vassal that ends is started again",
    "LogRateLimitIntervalSec": "a log is cut at --log-size",
    "LogRateLimitBurst": "a log is cut at --log-size",
}
# The beginnings of keys of a sandbox, in the order in which they are tried.
PREFIXES: Final = (
    ("Limit", _LIMITS),
    ("Condition", "let the command look, or take the vassal's file away"),
    ("Assert", "let the command look, or take the vassal's file away"),
    *(
        (prefix, _SANDBOX)
        for prefix in (
            "Protect", "Private", "Restrict", "ReadOnly", "ReadWrite", "Inaccessible", "NoExec",
            "Exec", "SystemCall", "Capability", "Secure", "Lock", "MemoryDeny", "Bind", "Temporary",
            "Device", "IPAddress", "Socket", "NoNew", "Keyring", "RemoveIPC", "Mount", "Network",
            "Load", "SetCredential", "Personality", "NUMA", "Proc", "AppArmor", "SELinux",
        )
    ),
)  # fmt: skip
# Without these the program would not run as it did.
NEEDED: Final = {
    "DynamicUser": "make an account, and give it by user",
    "RuntimeDirectory": "let tmpfiles.d make it in /run, and set RUNTIME_DIRECTORY if it is used",
    "RootDirectory": "put chroot before the command; its user must be root",
    "RootImage": "a program in an image of its own stays with systemd",
    "Sockets": "give it the addresses by listen",
    "StandardInput": "a vassal's standard input is empty; let the program use its kept socket",
    "TTYPath": "a program on a terminal stays with systemd",
}
