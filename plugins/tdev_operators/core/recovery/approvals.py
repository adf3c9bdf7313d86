"""Who may say yes: people of the settings, never one twice, and not who asked unless the settings say so."""

from collections.abc import Sequence

from tdev_operators.core.errors import AccessDeniedError, SetupMissingError
from tdev_operators.core.recovery.settings import Person, RecoverySettings

NEEDED_FOR_LIVE = 2


def may_approve(rules: RecoverySettings, requested_by: str, already: Sequence[str]) -> tuple[Person, ...]:
    """Return the people who may give the next approval.

    Raises:
        SetupMissingError: nobody is left who might.
    """
    left = tuple(
        person
        for person in rules.people
        if person.username not in already and (rules.requester_may_approve or person.username != requested_by)
    )
    if not left:
        raise SetupMissingError(
            f"Nobody but {requested_by or 'the requester'} may approve this; add people to [[recovery.people]] of the "
            "settings."
        )
    return left


def refuse_strangers(rules: RecoverySettings, requested_by: str) -> None:
    """Refuse a run that was started by somebody who is not in the settings, whatever Airflow let them do.

    Raises:
        AccessDeniedError: it names who.
    """
    if requested_by not in {person.username for person in rules.people}:
        raise AccessDeniedError(
            f"{requested_by or 'Somebody without a name'} may not start this; the people of [[recovery.people]] may."
        )


def refuse_unapproved(rules: RecoverySettings, requested_by: str, approved_by: Sequence[str], needed: int) -> None:
    """Refuse what too few different people approved.

    Raises:
        AccessDeniedError: it says who is missing.
    """
    known = {person.username for person in rules.people}
    counted = {name for name in approved_by if name in known}
    if not rules.requester_may_approve:
        counted.discard(requested_by)
    if len(counted) < needed:
        who = ", ".join(sorted(counted)) or "nobody"
        raise AccessDeniedError(
            f"This needs {needed} approvals by different people of [[recovery.people]] who did not ask for it; "
            f"approved so far: {who}."
        )
