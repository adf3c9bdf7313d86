"""What the compliance audit reports, by name: for `[[silences]]` and `[[out_of_scope]]`."""

AREA = "compliance."
RECORD = "compliance.record"


def name_of(control: str) -> str:
    """Return the name of a control's result."""
    return f"{AREA}{control}"


def is_named(pattern: str) -> bool:
    """Whether a name of the settings, exact or `compliance.*`, means something that an audit reports."""
    return pattern.startswith(AREA)
