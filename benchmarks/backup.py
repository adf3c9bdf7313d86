"""Back-ups against what people use today: the speed table, the peak of local disk, and the peak of memory."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from benchmarks import rivals
from benchmarks.backup_ground import HUGE_BUCKET, WIDE_DATABASE, Ground, ground
from benchmarks.measuring import Measured, measure_apart, median_measured
from benchmarks.table import Row

MEMORY_LIMIT_MIB = 400

_RUNS = 5
_MIB = 1024**2
_MB = 1_000_000

Task = Callable[[Ground], None]


@dataclass(frozen=True, slots=True)
class Ours:
    """Our side of the table. Each task runs in a fresh process (so it is a module's function, or a partial of one).

    A task's imports count unless its module makes them: what a worker has loaded before it begins belongs to the top of
    the module. Local files go below TMPDIR.

    `first_set`: a complete set, database with digests and both buckets, into an empty bucket, up to COMPLETE.
    `verify_readable`: read that back and attest it, unmeasured: a set refers to what was read back only.
    `next_day_set`: the set after that, 1 % of the objects having changed.
    `restore_and_prove`: restore and prove the newest set, which that was.
    `database_only`: the database with digests into an empty bucket.
    `bucket_first`: a snapshot of all of `sources` into an empty bucket.
    `bucket_unchanged`: another one straight after it.
    """

    first_set: Task
    verify_readable: Task
    next_day_set: Task
    database_only: Task
    bucket_first: Task
    bucket_unchanged: Task
    restore_and_prove: Task


def rows(
    ours: Ours,
    *,
    scale: float | None = None,
    runs: int | None = None,
    extremes: bool = True,
) -> Iterator[Row]:
    """Yield the table's rows, medians of `runs` (default: `TDEV_BENCH_RUNS`, or 5); about half an hour at scale 1.

    Ours and theirs take turns, so that what else the machine does meets both. `extremes` adds rows of
    50 MB and an object of 6 GB.
    """
    runs = int(os.environ.get("TDEV_BENCH_RUNS", _RUNS)) if runs is None else runs
    with ground(scale=scale, extremes=extremes) as on:
        plain_dump = rivals.prepare_plain_dump(on, on.folder.parent)
        measured: dict[str, list[Measured]] = {}
        for run in range(1, runs + 1):
            for name, work in _one_run(ours, on, partial(rivals.psql_restore, plain_dump=plain_dump), run):
                measured.setdefault(name, []).append(work())
        yield from _speed(measured, runs)
        yield from _memory(measured, runs)
        if extremes:
            yield from _extremes(ours, on)


def _one_run(
    ours: Ours, on: Ground, psql_restore: Callable[[Ground], Measured], edition: int
) -> Iterator[tuple[str, Callable[[], Measured]]]:
    """Yield what is measured, by name, having prepared what it finds."""
    on.empty(on.backups)
    yield "first set", _ours(ours.first_set, on)
    yield "guide", partial(rivals.guide_script, on)
    _ours(ours.verify_readable, on)()
    on.change(edition)
    yield "next day's set", _ours(ours.next_day_set, on)
    yield "restore and proof", _ours(ours.restore_and_prove, on)
    yield "psql", partial(psql_restore, on)
    on.empty(on.backups)
    yield "database", _ours(ours.database_only, on)
    yield "gzip", partial(rivals.dump_gzip, on)
    yield "zstd", partial(rivals.dump_zstd, on)
    yield "directory", partial(rivals.dump_directory, on)
    on.empty(on.backups)
    yield "buckets, first", _ours(ours.bucket_first, on)
    yield "buckets, unchanged", _ours(ours.bucket_unchanged, on)
    yield "aws, first", partial(rivals.aws_sync_first, on)
    yield "aws, unchanged", partial(rivals.aws_sync_unchanged, on)
    yield "rclone, first", partial(rivals.rclone_sync_first, on)
    yield "rclone, unchanged", partial(rivals.rclone_sync_unchanged, on)


def _ours(task: Task, on: Ground) -> Callable[[], Measured]:
    return partial(measure_apart, partial(task, on), on.servers, on.folder)


# Work, whose name, the rival's words, its name, the ratio that was promised.
_PROMISES = (
    ("first complete set", "first set", "the guide's script", "guide", 1 / 7),
    ("the next day's set, 1 % of the objects changed", "next day's set", "the guide's script", "guide", 1 / 10),
    ("database in S3, with digests", "database", "pg_dump -Fc (gzip), aws s3 cp -", "gzip", 1 / 6),
    ("database in S3, with digests", "database", "pg_dump -Fc -Z0, zstd -1, aws s3 cp -", "zstd", 1.1),
    ("database in S3, with digests", "database", "pg_dump -Fd -j2 -Z0 to local disk", "directory", 2.2),
    ("buckets, first", "buckets, first", "aws s3 sync", "aws, first", 1 / 3),
    ("buckets, first", "buckets, first", "rclone sync --transfers 64", "rclone, first", 1 / 2),
    ("buckets, unchanged", "buckets, unchanged", "aws s3 sync", "aws, unchanged", 1 / 3),
    ("buckets, unchanged", "buckets, unchanged", "rclone sync --checksum", "rclone, unchanged", 2.0),
    ("restore and proof of the set", "restore and proof", "psql < plain.sql, no proof", "psql", 1 / 1.3),
)


def _speed(measured: Mapping[str, list[Measured]], runs: int) -> Iterator[Row]:
    for work, name, against, rival, at_most in _PROMISES:
        we, they = median_measured(measured[name]), median_measured(measured[rival])
        rival_words = f"{against} ({they.note})" if they.note else against
        yield Row(work, we.seconds, rival_words, they.seconds, runs, at_most, we.cpu, they.cpu)
    we, they = median_measured(measured["buckets, unchanged"]), median_measured(measured["rclone, unchanged"])
    work = "buckets, unchanged, with the start of a process"
    yield Row(work, we.process_seconds or 0.0, "rclone sync --checksum", they.seconds, runs)
    we, they = (max(measured[name], key=lambda each: each.peak_disk_bytes) for name in ("first set", "guide"))
    disks = we.peak_disk_bytes / _MB, they.peak_disk_bytes / _MB
    yield Row("peak local disk of the first set", disks[0], "the guide's script", disks[1], runs, 1 / 20, unit="MB")


def _memory(measured: Mapping[str, list[Measured]], runs: int) -> Iterator[Row]:
    for name, every in measured.items():
        peaks = [each.peak_memory_bytes for each in every if each.peak_memory_bytes is not None]
        if peaks:
            yield _memory_row(name, max(peaks), runs)


def _extremes(ours: Ours, on: Ground) -> Iterator[Row]:
    on.empty(on.backups)
    wide = _ours(ours.database_only, replace(on, database={**on.database, "dbname": WIDE_DATABASE}))()
    yield _memory_row("database, rows of 50 MB", wide.peak_memory_bytes or 0, 1)
    if on.store_pid is not None:
        on.empty(on.backups)
        huge = _ours(ours.bucket_first, replace(on, sources=(HUGE_BUCKET,)))()
        yield _memory_row("buckets, an object of 6 GB", huge.peak_memory_bytes or 0, 1)


def _memory_row(name: str, peak_bytes: int, runs: int) -> Row:
    return Row(f"peak memory: {name}", peak_bytes / _MIB, "the limit", MEMORY_LIMIT_MIB, runs, 1.0, unit="MiB")
