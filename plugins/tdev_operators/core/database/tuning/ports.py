"""What tuning needs of the world beyond the care of the database. `hooks.tuning_assembly` builds it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from tdev_operators.core.database.ports import CarePorts
from tdev_operators.core.ports import Clock, Host, HttpAnswer, utc_now


class Configurable(Protocol):
    """The application's API where its configuration may be changed. No check gets this."""

    @property
    def name(self) -> str:
        """Name for messages."""

    def get(self, path: str) -> HttpAnswer:
        """Ask for a path with the token."""

    def patch(self, path: str, body: Mapping[str, Any]) -> HttpAnswer:
        """Change these keys there, with the token; raises as `HttpService.get`."""


@dataclass(frozen=True, slots=True)
class TuningPorts:
    """`care` is the database and the store; `host` is the database's, None where nobody can run commands there."""

    care: CarePorts
    application: Configurable
    host: Host | None
    clock: Clock = utc_now
