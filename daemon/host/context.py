"""The context of the host: the objects that its parts share.

Each part takes from it what it needs when it is made, and gets the parts that it calls by name.
"""

from collections.abc import Callable
from typing import NamedTuple

from ...journal.policy import Policy
from ...monitors.start_thread import StartThread
from ..keeper.link import KeeperLink
from .accounts import Accounts
from .cgroups import Cgroups
from .config_copies import ConfigCopies
from .exec_checks import ExecChecks
from .hooks import HookRunner
from .listening_state import ListeningState
from .lookups import Lookups
from .news import Outbox
from .process_table import ProcessTable
from .unjournaled import UnjournaledProcesses
from .vassal_log import LogDirectory
from .vassal_tasks import VassalTasks
from .watch import ProcessWatch


class HostContext(NamedTuple):
    """The objects that the parts of the host share."""

    policy: Callable[[], Policy]  # the fleet's present one
    identity: Callable[[], str | None]  # of the journal that orders the starts
    config_text: Callable[[str], bytes | None]  # of an inline config, by its digest
    keeper: KeeperLink
    cgroups: Cgroups
    logs: LogDirectory | None  # None: vassals have the daemon's output
    processes: ProcessTable
    unjournaled: UnjournaledProcesses
    watch: ProcessWatch
    outbox: Outbox
    tasks: VassalTasks
    exec_checks: ExecChecks
    listening: ListeningState
    copies: ConfigCopies
    lookups: Lookups
    accounts: Accounts
    hooks: HookRunner
    starts: StartThread  # in which processes begin
