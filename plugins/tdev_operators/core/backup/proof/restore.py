"""Restoring a database of a set with stock `pg_restore`, straight from the bucket.

The dump's large files never touch the disk: each is a FIFO that we fill while `pg_restore` reads it. A digest that
does not hold ends `pg_restore` before it could take what it got for the whole.
"""

import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tdev_operators.core.backup.database.complaints import failure
from tdev_operators.core.backup.manifest import DatabaseDump, StoredFile
from tdev_operators.core.backup.ports import SourceDatabase
from tdev_operators.core.backup.proof.feeding import Feeder
from tdev_operators.core.backup.proof.reading import SetFiles
from tdev_operators.core.backup.proof.selection import select, without_roles
from tdev_operators.core.commands import MIB, running
from tdev_operators.core.errors import CommandFailedError, ProofFailedError, TargetTimeoutError, TransientError
from tdev_operators.core.private_folders import private_folder

_GLOBALS_LIMIT_BYTES = 64 * MIB
_GLOBALS_TRAILER = "-- PostgreSQL database cluster dump complete"
_TABLESPACE = re.compile(r"(?:CREATE|ALTER|COMMENT ON) TABLESPACE |(?:GRANT|REVOKE) .* ON TABLESPACE ")
_HARMLESS_COMMANDS = ("\\restrict ", "\\unrestrict ")
_SQL_ERROR = re.compile(r"(?:ERROR|FATAL|PANIC):\s+(\w{5}): (.*)")
_DUPLICATE_OBJECT = "42710"
_PROGRESS_SECONDS = 5.0
_TICK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class RestoreOptions:
    """How a restore goes: connections at once, whether tables are analysed, tablespaces kept, and its time limit.

    `without_public`: the source has no schema `public`. A dump does not say so, and an empty database has one.
    `only`: these tables' rows alone, (schema, name), with everybody's definitions and no foreign key; none: everything.
    `kept_roles` are there already, and what the globals say of them is left out.
    """

    jobs: int = 2
    analyze: bool = True
    tablespaces: bool = False
    without_public: bool = False
    limit_seconds: float = 6 * 3600.0
    only: frozenset[tuple[str, str]] = frozenset()
    kept_roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore took. `phases` are seconds: fetch, pre_data, data, post_data, and analyze where it was asked for.

    `data` runs from the first row read to the last one; indexes that are built meanwhile count there. Where all tables
    are so small that they were fetched beforehand, everything is `pre_data`.
    """

    phases: Mapping[str, float]
    stored_bytes: int
    raw_bytes: int
    files: int

    @property
    def seconds(self) -> float:
        """The whole restore's time."""
        return sum(self.phases.values())


def restore_globals(
    files: SetFiles, stored: StoredFile, target: SourceDatabase, psql: Path, options: RestoreOptions | None = None
) -> None:
    """Make the set's roles on the target's server. What is there already stays as it is.

    Raises:
        ProofFailedError: the file is damaged or cut off, or a statement failed.
    """
    options = options or RestoreOptions()
    text = files.whole(stored, max_bytes=_GLOBALS_LIMIT_BYTES).decode()
    lines = text.splitlines(keepends=True)
    if _GLOBALS_TRAILER not in text:
        raise ProofFailedError(f"The globals {stored.key} end before their last line; the set cannot be restored.")
    if bad := next((line for line in lines if line.startswith("\\") and not line.startswith(_HARMLESS_COMMANDS)), ""):
        raise ProofFailedError(f"The globals {stored.key} hold the command {bad.split()[0]}, which no dump writes.")
    wanted = without_roles(lines, options.kept_roles)
    kept = (line.encode() for line in wanted if options.tablespaces or not _TABLESPACE.match(line))
    argv = [str(psql), "--no-psqlrc", "--quiet", "--set=VERBOSITY=verbose", f"--dbname={conninfo(target.name)}"]
    with target.environment() as env, running(argv, env=env, stdin=kept, output_limit_bytes=8 * MIB) as command:
        status = command.wait(options.limit_seconds)
        for code, message in _SQL_ERROR.findall(command.stderr):
            if code != _DUPLICATE_OBJECT:
                raise ProofFailedError(f"The globals {stored.key} cannot be restored: {message}.")
        if status != 0:
            raise CommandFailedError(f"psql ended with status {status}: {_first_error(command.stderr)}.")


def restore_database(
    files: SetFiles,
    dump: DatabaseDump,
    target: SourceDatabase,
    pg_restore: Path,
    *,
    options: RestoreOptions | None = None,
    progress: Callable[[str], None] = lambda _: None,
    check: Callable[[], None] = lambda: None,
) -> Restored:
    """Fill an empty database from a set; the roles must be there (`restore_globals`).

    `check` is called several times a second and may raise to end it. `progress` hears the rate every few seconds.

    Raises:
        ProofFailedError: an object is missing or damaged, or `pg_restore` complained: with its first error.
        TransientError: the server or the store went away.
        TargetTimeoutError: the time limit passed.
        AccessDeniedError: the set is encrypted and no identity fits.
    """
    options = options or RestoreOptions()
    with private_folder() as home:
        folder = home / "dump"
        folder.mkdir(mode=0o700)
        begun = time.monotonic()
        streamed = [file for file in dump.files if _is_streamed(files.name_of(file))]
        small_bytes = _fetch(files, [file for file in dump.files if file not in streamed], folder, options.jobs, check)
        fetched = time.monotonic()
        if options.without_public:
            with target.session() as session:
                session.rows("DROP SCHEMA public")
        selection: tuple[str, ...] = ()
        if options.only:
            chosen = select(pg_restore, folder, options.only)
            (home / "selection").write_text(chosen.listing, encoding="utf-8")
            selection = (f"--use-list={home / 'selection'}",)
            streamed = [file for file in streamed if files.name_of(file) in chosen.files]
        sources = {folder / files.name_of(file): partial(files.plain, file) for file in streamed}
        feeder = Feeder(sources, options.jobs + 1)
        pace = _Pace(dump, small_bytes, progress)
        restored = _run(feeder, folder, dump, target, pg_restore, options, selection, pace, check)
    phases = {"fetch": fetched - begun, **restored}
    if options.analyze:
        started = time.monotonic()
        with target.session() as session:
            session.rows("ANALYZE")
        phases["analyze"] = time.monotonic() - started
    return Restored(
        phases, sum(file.size_bytes for file in dump.files), small_bytes + feeder.fed_bytes, len(dump.files)
    )


def _is_streamed(name: str) -> bool:
    return name.endswith(".dat") and name != "toc.dat"


def _fetch(files: SetFiles, fetched: list[StoredFile], folder: Path, jobs: int, check: Callable[[], None]) -> int:
    """Fetch what is small: the table of contents, the lists of large objects, and the tars of small files."""

    def fetch(file: StoredFile) -> int:
        check()
        if files.name_of(file).endswith(".tar"):
            return files.extract(file, folder)[1]
        return files.save(file, folder)

    with ThreadPoolExecutor(jobs, thread_name_prefix="tdev-fetch") as pool:
        futures = [pool.submit(fetch, file) for file in fetched]
        try:
            return sum(future.result() for future in futures)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _run(
    feeder: Feeder,
    folder: Path,
    dump: DatabaseDump,
    target: SourceDatabase,
    pg_restore: Path,
    options: RestoreOptions,
    selection: tuple[str, ...],
    pace: "_Pace",
    check: Callable[[], None],
) -> dict[str, float]:
    argv = [
        *(str(pg_restore), "--format=directory", f"--jobs={options.jobs}", "--exit-on-error", "--no-password"),
        *(() if options.tablespaces else ("--no-tablespaces",)),
        *selection,
        *(f"--dbname={conninfo(target.name)}", str(folder)),
    ]
    begun = time.monotonic()
    # The feeder is left last: its FIFOs stay open until pg_restore is dead, or has ended by itself.
    with feeder, target.environment() as env:
        with running(argv, env=env) as command:
            while (status := command.poll()) is None and not feeder.failed.wait(_TICK_SECONDS):
                check()
                pace.tell(feeder.fed_bytes)
                if time.monotonic() - begun > options.limit_seconds:
                    raise TargetTimeoutError(
                        f"The restore of {dump.name} did not end within {options.limit_seconds:g} s; see whether the "
                        "target or the store is stuck."
                    )
        if feeder.error:
            raise feeder.error
        _refuse_complaints(dump.name, status or 0, command.stderr)
        if unread := feeder.unread:
            raise ProofFailedError(
                f"pg_restore of {dump.name} left {unread[0]} unread; its table of contents is amiss."
            )
    over = time.monotonic()
    data_begins, data_ends = feeder.began or over, feeder.ended or over
    return {"pre_data": data_begins - begun, "data": data_ends - data_begins, "post_data": over - data_ends}


def _refuse_complaints(name: str, status: int, stderr: str) -> None:
    """Tell a server or a program that went, which is worth another try, from a set that cannot be restored."""
    error = failure("pg_restore", name, status, stderr)
    if isinstance(error, TransientError) and not isinstance(error, CommandFailedError):
        raise error
    if error or stderr.strip():
        raise ProofFailedError(f"pg_restore of {name} failed: {_first_error(stderr)}")


class _Pace:
    """Says how far it is, every few seconds."""

    def __init__(self, dump: DatabaseDump, done_bytes: int, progress: Callable[[str], None]) -> None:
        self._name, self._total, self._done = dump.name, dump.raw_bytes, done_bytes
        self._progress = progress
        self._begun = self._told = time.monotonic()

    def tell(self, fed_bytes: int) -> None:
        now = time.monotonic()
        if now - self._told < _PROGRESS_SECONDS:
            return
        self._told = now
        rate = fed_bytes / (now - self._begun) / MIB
        left = max(0, self._total - self._done - fed_bytes) / MIB
        estimate = f", {left / rate:.0f} s to go" if rate and left else ""
        self._progress(
            f"restore of {self._name}: {(self._done + fed_bytes) / MIB:.0f} of {self._total / MIB:.0f} MiB, "
            f"{rate:.1f} MiB/s{estimate}"
        )


def conninfo(name: str) -> str:
    """Return the database's name as libpq cannot take for anything else."""
    escaped = name.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{escaped}'"


def _first_error(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return next((line for line in lines if "error:" in line or "ERROR:" in line), lines[0] if lines else "it is silent")
