"""The calendars that the DAG files declare, for those who must know what is due without a scheduler."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

from tdev_operators.core.calendar_slots import Calendar
from tdev_operators.core.errors import SetupMissingError


def calendars_in(folder: Path) -> list[tuple[str, Calendar]]:
    """Return (dag_id, calendar) of every tier whose DAG file stands in the folder.

    Raises:
        SetupMissingError: the folder has no tier, or a file cannot be imported.
    """
    found = list(_calendars(folder))
    if not found:
        raise SetupMissingError(f"No maintenance tier stands in {folder}; name the DAG folder with --dags.")
    return found


def _calendars(folder: Path) -> Iterator[tuple[str, Calendar]]:
    for file in sorted(folder.glob("tdev_*.py")):
        spec = importlib.util.spec_from_file_location(f"tdev_calendar_of_{file.stem}", file)
        if spec is None or spec.loader is None:
            continue
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            raise SetupMissingError(f"{file.name} cannot be imported ({error}); mend it first.") from error
        finally:
            del sys.modules[spec.name]
        if isinstance(calendar := getattr(module, "CALENDAR", None), Calendar):
            yield file.stem, calendar
