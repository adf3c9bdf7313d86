"""What the care of the agents reports, by name: for `[[silences]]` and `[[out_of_scope]]`."""

ABOUT = {
    "agents.confinement": "whether every barrier holds behind which agents' code is tried",
    "agents.optimiser": "which agents became smaller, proven to behave as before; which were left alone, and why",
}


def is_named(pattern: str) -> bool:
    """Whether a name of the settings means something that is reported here; `agents.*` is the health check's area."""
    return pattern in ABOUT
