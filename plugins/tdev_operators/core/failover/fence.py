"""The fence: the old side's server is off and stays off, proven, or a named human answers for it.

A setting of the server is none: `default_transaction_read_only` is passed by `BEGIN READ WRITE`. A timeout is no proof
of anything: what cannot be seen off is not off.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tdev_operators.core.errors import (
    AccessDeniedError,
    CommandFailedError,
    InputError,
    TargetTimeoutError,
    TargetUnreachableError,
    TdevError,
    TransientError,
)
from tdev_operators.core.failover.ports import FailoverPorts
from tdev_operators.core.failover.request import FailoverRequest
from tdev_operators.core.failover.settings import Side
from tdev_operators.core.failover.sides import Control, control_of, look
from tdev_operators.core.failover.units import Units, is_switched_off, switched_off
from tdev_operators.core.settings import Settings

BY_UNIT, BY_INFRASTRUCTURE, BY_WORD = "unit stopped and disabled", "machine switched off", "a human's word"


@dataclass(frozen=True, slots=True)
class Fenced:
    """How it is known that the old side is off. `by` is the person, where it is a human's word."""

    how: str
    by: str = ""


def raise_fence(
    ports: FailoverPorts, settings: Settings, old: Side, request: FailoverRequest, progress: Callable[[str], None]
) -> Fenced:
    """Stop the application and the server of the old side, and see that they are and stay off.

    Raises:
        InputError: nothing proves it, and nobody attested it.
        TransientError: try again: nobody knows how it is.
    """
    units = Units(ports, settings, old)
    try:
        for service in old.services:
            _stop_application(units, old, service, request, progress)
        units.stop_for_good(old.database_service)
        fenced = Fenced(BY_UNIT)
    except CommandFailedError:
        raise  # its host answers: it is not off, whatever somebody has seen
    except (TransientError, InputError, AccessDeniedError) as error:
        if request.planned:
            raise
        progress(f"the host of {old.name} does not obey ({error})")
        fenced = _from_outside(ports, settings, old, request, progress, error)
    refuse_living(ports, old)
    progress(f"{old.name} is fenced: {fenced.how}")
    return fenced


def is_up(ports: FailoverPorts, settings: Settings, old: Side, fenced: Fenced) -> bool:
    """Whether the fence still holds, as far as it can be seen now."""
    try:
        refuse_living(ports, old)
    except InputError:
        return False
    if fenced.how == BY_UNIT:
        units = Units(ports, settings, old)
        return not units.runs(old.database_service) and not units.comes_up(old.database_service)
    return fenced.how == BY_WORD or is_switched_off(ports, settings, old)


def lower_fence(ports: FailoverPorts, settings: Settings, old: Side, progress: Callable[[str], None]) -> None:
    """Let the old side serve again, and see that it does.

    Raises:
        InputError: it came up as a standby, so that nobody may write to it.
        TransientError: it does not come up.
    """
    units = Units(ports, settings, old)
    units.start(old.database_service)
    if look(ports, old).in_recovery:
        raise InputError(f"{old.name} came up as a standby; it was the primary. Look at its standby.signal by hand.")
    for service in old.services:
        units.start(service)
    progress(f"{old.name} serves again")


def control_data(ports: FailoverPorts, settings: Settings, old: Side) -> Control:
    """Read the stopped server's control file on its host."""
    return control_of(Units(ports, settings, old).run(settings.failover.controldata))


def refuse_living(ports: FailoverPorts, old: Side) -> None:
    """Refuse to go on while the old side's server still answers, whatever its host says.

    Raises:
        InputError: it answers.
    """
    try:
        found = look(ports, old)
    except (TargetUnreachableError, TargetTimeoutError):
        return
    except TdevError as error:  # too many clients, starting up, no such role: somebody is there
        raise InputError(f"The server of {old.name} answers, so that it is not off: {error}") from None
    state = "a standby" if found.in_recovery else "a primary"
    raise InputError(f"The server of {old.name} answers still, as {state}: it is not off. Turn it off by hand.")


def _stop_application(
    units: Units, old: Side, service: str, request: FailoverRequest, progress: Callable[[str], None]
) -> None:
    try:
        units.stop_for_good(service)
    except CommandFailedError as error:
        if request.planned:
            raise
        progress(f"{error} Its database is stopped all the same.")
    else:
        progress(f"{service} of {old.name} is stopped and disabled")


def _from_outside(
    ports: FailoverPorts,
    settings: Settings,
    old: Side,
    request: FailoverRequest,
    progress: Callable[[str], None],
    why: TdevError,
) -> Fenced:
    if switched_off(ports, settings, old, progress):
        return Fenced(BY_INFRASTRUCTURE)
    if not request.attested_off:
        raise InputError(
            f"Nothing proves that {old.name} is off ({why}) Give failover.switch_off, or turn it off, see that it is "
            "off, and start again with «attested off»."
        )
    return Fenced(BY_WORD, request.requested_by)
