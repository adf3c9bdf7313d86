"""What tuning reports, by name: for `[[silences]]` and `[[out_of_scope]]`, and for whoever reads a report."""

from collections.abc import Mapping
from fnmatch import fnmatchcase

ABOUT: Mapping[str, str] = {
    "tuning.database": "recommended, in the file, running: where they differ, and what waits for a reload or a restart",
    "tuning.file_errors": "lines of the server's files with which it would not start, and lines that are void",
    "tuning.pools": "whether the application's clients fit through its pools into the database's connections",
    "tuning.application": "the application's own configuration, by its API, against what is recommended",
    "tuning.effect": "the day before the last change beside the day after",
    "tuning.applied": "what a run of `tdev_apply_tuning` changed, took back or left half-done",
}


def is_named(pattern: str) -> bool:
    """Whether a name of the settings, exact or `tuning.*`, means something that tuning reports."""
    return any(fnmatchcase(name, pattern) for name in ABOUT)
