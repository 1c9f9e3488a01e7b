"""Which binary of uWSGI runs a vassal: the usual one, or another one that has its plugins."""

from collections.abc import Callable
from typing import Final

from ...journal.events import Spec
from ...journal.policy import Policy
from . import uwsgi_plugins
from .uwsgi_plugins import Asked

_REMEMBERED: Final = 4096  # configs


class Choice:
    """Chooses for starts. ``config_text`` finds a config by its digest.

    A config is read once for its plugins; most ask for none, and then there is no choice.
    """

    def __init__(self, config_text: Callable[[str], bytes | None]) -> None:
        self._config_text = config_text
        self._asked: dict[str, Asked] = {}

    def of(self, spec: Spec, policy: Policy) -> str | None:
        """The binary in place of the usual one; None if it is the usual one. Blocks.

        Raises CannotRun.
        """
        if spec.config is None or policy.wrapper is not None or "command" in spec.settings:
            return None
        asked = self._asked.get(spec.config)
        if asked is None:
            text = self._config_text(spec.config)
            asked = uwsgi_plugins.asked_by(spec, text, policy)
            if len(self._asked) >= _REMEMBERED:
                self._asked.clear()
            self._asked[spec.config] = asked
        return uwsgi_plugins.choose(spec, asked, policy)
