"""What the relief of memory reports, by name: for `[[silences]]` and `[[out_of_scope]]`."""

AREA = "memory_relief."

ABOUT = {
    f"{AREA}<host>": "who holds the host's memory, what was done about it, and how much was in use before and after"
}


def name_of(host: str) -> str:
    """Return the name of a host's result."""
    return f"{AREA}{host}"


def is_named(pattern: str) -> bool:
    """Whether a name of the settings, exact or `memory_relief.*`, means something that is reported here."""
    return pattern.startswith(AREA)
