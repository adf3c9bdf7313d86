"""Whether sets can be taken and proven: found before anything starts, and not when the set is needed."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from itertools import groupby

from tdev_operators.core.backup.database.catalogue import Catalogue, missing_privileges, pin, read_catalogue
from tdev_operators.core.backup.database.tools import tool
from tdev_operators.core.backup.ports import SourceDatabase
from tdev_operators.core.backup.proof.scratch import ScratchServer, provable
from tdev_operators.core.errors import AccessDeniedError, TdevError
from tdev_operators.core.verdicts import CheckResult, Coverage, Verdict

_NAMED = 10
_SCRATCH_HINT = "Give backup.scratch a server that has what is missing."

Scratch = Callable[[int], AbstractContextManager[ScratchServer]]


def refuse_what_cannot_be_dumped(source: SourceDatabase, client_tools: str) -> None:
    """Look for privileges and for programs of the server's major version.

    Raises:
        AccessDeniedError: privileges are missing; names each GRANT.
        SetupMissingError: programs are missing, or of another major version.
        TransientError: the server is away.
    """
    with source.session() as session:
        major = int(session.rows("SHOW server_version_num")[0]["server_version_num"]) // 10_000
        missing = missing_privileges(session)
    for name in ("pg_dump", "pg_dumpall"):
        tool(name, major, client_tools)
    if missing:
        more = f" And {len(missing) - _NAMED} more." if len(missing) > _NAMED else ""
        raise AccessDeniedError(
            f"The database {source.name} cannot be dumped whole. {' '.join(missing[:_NAMED])}{more}"
        )


def provability(databases: Iterable[tuple[str, Catalogue]], scratch: Scratch) -> list[CheckResult]:
    """Say of each database (name, what is in it) whether the scratch server has what it needs; one server a version."""
    results: list[CheckResult] = []
    for major, of_major in groupby(sorted(databases, key=_major_and_name), key=lambda each: each[1].major):
        named = list(of_major)
        try:
            with scratch(major) as server:
                results += [_provable(name, major, provable(catalogue, server)) for name, catalogue in named]
        except TdevError as error:
            results += [_provable(name, major, [str(error)]) for name, _ in named]
    return results


def ready(sources: Iterable[SourceDatabase], scratch: Scratch, client_tools: str) -> list[CheckResult]:
    """Look at databases as `tdev init` does, with no set under way: can each be dumped, and can each be proven?

    Raises:
        What `refuse_what_cannot_be_dumped` raises.
    """
    catalogues: list[tuple[str, Catalogue]] = []
    for source in sources:
        refuse_what_cannot_be_dumped(source, client_tools)
        with source.session() as session:
            pin(session)
            catalogues.append((source.name, read_catalogue(session)))
    return provability(catalogues, scratch)


def _major_and_name(database: tuple[str, Catalogue]) -> tuple[int, str]:
    return database[1].major, database[0]


def _provable(name: str, major: int, reasons: list[str]) -> CheckResult:
    return CheckResult(
        f"backup.provable_{name}",
        Verdict.UNKNOWN if reasons else Verdict.OK,
        " ".join(reasons) or f"{name} can be proven on a scratch server of major version {major}.",
        hint=_SCRATCH_HINT if reasons else "",
        coverage=Coverage(seen=(name,)),
    )
