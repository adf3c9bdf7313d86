"""What a recovery of the evolution reports, by name: for `[[silences]]` and `[[out_of_scope]]`."""

AREA = "evolution_recovery."
CURE, DIAGNOSIS, LOCKS, CHECKPOINTS = f"{AREA}cure", f"{AREA}diagnosis", f"{AREA}locks", f"{AREA}checkpoints"

ABOUT = {
    CURE: "whether the evolution makes generations again, and what to do where it does not",
    DIAGNOSIS: "the evidence of before anything was touched, and where it is kept",
    LOCKS: "locks of dead engines that were cleared; those that stayed, and whose they are",
    CHECKPOINTS: "the checkpoint that the evolution went on from, and newer ones that could not be used",
}


def is_named(pattern: str) -> bool:
    """Whether a name of the settings, exact or `evolution_recovery.*`, means something that a recovery reports."""
    return pattern in ABOUT or pattern == f"{AREA}*"
