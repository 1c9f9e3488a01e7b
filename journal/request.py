"""The requests of operators, as they stand in the journal."""

from typing import Literal

Request = Literal[
    "start", "stop", "restart", "reload", "retry", "rollback", "cancel_rollback", "reopen",
    "upgrade", "rollout_continue", "rollout_abort",
]  # fmt: skip
