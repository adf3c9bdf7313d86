"""Finding the product's files: SQL and settings, in a checkout, an editable install and a wheel alike."""

from functools import cache
from pathlib import Path

from tdev_operators.core.errors import InputError

_PACKAGE = Path(__file__).resolve().parent.parent


@cache
def include_dir() -> Path:
    """Return the folder that holds `tdev.toml` and `sql/`: inside the package in a wheel, beside it in a checkout."""
    for candidate in (_PACKAGE / "include", _PACKAGE.parent.parent / "include"):
        if (candidate / "sql").is_dir():
            return candidate
    raise InputError("The package's include/ folder is missing; install the wheel again or run from a whole checkout.")


@cache
def load_sql(name: str) -> str:
    """Return the text of `include/sql/<name>.sql`, for example `load_sql("health/dead_tuples")`.

    The text has named binds (`%(limit)s`) and nothing else to fill in.

    Raises:
        InputError: there is no such file.
    """
    path = include_dir() / "sql" / f"{name}.sql"
    if not path.is_file():
        raise InputError(f"There is no SQL file {name}.sql under include/sql; check the name.")
    return path.read_text(encoding="utf-8")
