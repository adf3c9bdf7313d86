"""What the management of certificates reports, by name: for `[[silences]]` and `[[out_of_scope]]`."""

from typing import TYPE_CHECKING

from tdev_operators.core.scope import parted
from tdev_operators.core.verdicts import OutOfScope

if TYPE_CHECKING:
    from tdev_operators.core.settings import Settings

_AREA = "certificate."


def name_of(title: str) -> str:
    """Return the name of a certificate's result."""
    return f"{_AREA}{title}"


def is_named(pattern: str) -> bool:
    """Whether a name of the settings, exact or `certificate.*`, means something that is reported here."""
    return pattern.startswith(_AREA)


def switched_off(settings: "Settings") -> tuple[OutOfScope, ...]:
    """Return the certificates that `[[out_of_scope]]` switches off."""
    managed = [one.title for one in settings.certificates.managed]
    public = [one.title for one in settings.public_names]
    return parted([*dict.fromkeys(name_of(end) for end in (*managed, *public)), f"{_AREA}acm"], settings)[1]
