"""What a person asks of a failover, in the form or on the command line."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from tdev_operators.core.errors import InputError, SetupMissingError
from tdev_operators.core.failover.settings import FailoverSettings, Side


@dataclass(frozen=True, slots=True)
class FailoverRequest:
    """One failover to the side `to`. `recovery_id` is the same in every try of it.

    `planned`: the old side works, and nothing may be lost. Otherwise it is down or half-dead, and what had not reached
    the standby is lost. `attested_off` says that whoever asks has seen the old side off with their own eyes, where
    nothing of ours can prove it. `slots` accepts that logical replication slots start over on the new side.
    `rehearse` looks at every step and takes none.
    """

    recovery_id: str
    to: str
    requested_by: str = ""
    planned: bool = True
    attested_off: bool = False
    slots: bool = False
    rehearse: bool = False

    def __post_init__(self) -> None:
        if self.planned and self.attested_off:
            raise InputError("The old side of a planned failover works; take «planned» or «attested off», not both.")

    def sides(self, settings: FailoverSettings) -> tuple[Side, Side]:
        """Return the old side and the new one.

        Raises:
            SetupMissingError: the settings name no sides.
            InputError: there is no such side.
        """
        if not settings.sides:
            raise SetupMissingError("There is no other side; describe both in [[failover.sides]] of the settings.")
        new = next((side for side in settings.sides if side.name == self.to), None)
        if new is None:
            names = ", ".join(side.name for side in settings.sides)
            raise InputError(f"There is no side {self.to[:60]!r}; choose from: {names}.")
        return next(side for side in settings.sides if side is not new), new

    def facts(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> Self:
        """Return what `facts` said."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in facts.items() if name in known})
