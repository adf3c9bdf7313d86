"""Python's requirements files: which packages a line wants, and which of them nobody can judge."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tdev_operators.core.reporting.escaping import one_line
from tdev_operators.core.security.findings import python_package

_NAME = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)")
_EXACT = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*(?:\[[^\]]*\])?\s*==\s*[^\s*=;]+\s*(?:;.*|--hash.*)?$")
_FILES = ("-r", "--requirement", "-e", "--editable")
_SHOWN = 3


def is_requirements(path: Path) -> bool:
    """Whether a file is one by its name, or by that of its folder."""
    of_folder = path.parent.name == "requirements" and path.suffix in {".txt", ".in"}
    return of_folder or ("requirements" in path.name and path.suffix in {".txt", ".in"})


def files_of(folder: Path) -> list[Path]:
    """Return the files below a folder that Python's own scanners are asked about."""
    return sorted(path for path in folder.rglob("requirements*.txt") if path.is_file())


def lines_of(path: Path) -> list[str]:
    """Return the lines that want something, joined where they go on, without comments and hashes."""
    text = path.read_text(encoding="utf-8", errors="replace").replace("\\\r\n", " ").replace("\\\n", " ")
    lines = (re.sub(r"(^|\s)#.*$", "", line).strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("--hash")]


def inexact(path: Path) -> list[str]:
    """Return the lines that name no exact version."""
    return [one_line(line, 80) for line in lines_of(path) if not (line.startswith("-") or _EXACT.match(line))]


def not_told(path: Path, name: str, told: Iterable[str]) -> dict[str, str]:
    """Return what a file wants that a scanner has said nothing of: options, other files, packages it left out."""
    known = {python_package(one) for one in told}
    missing = list(_missing(path, known))
    if not missing:
        return {}
    more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    return {name: f"nothing was said of {', '.join(missing[:_SHOWN])}{more}"}


def _missing(path: Path, known: set[str]) -> Iterator[str]:
    for line in lines_of(path):
        if line.startswith("-"):
            if line.startswith(_FILES):  # of pip-audit's and safety's readers, none follows them
                yield one_line(line, 60)
            continue
        match = _NAME.match(line)
        if match is None or python_package(match["name"]) not in known:
            yield one_line(line, 60)
