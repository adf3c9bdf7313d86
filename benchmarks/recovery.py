"""Recovery: a restore against the guide's script and `pg_restore`, a failover's seconds, what drills foretell."""

import itertools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

from psycopg.sql import SQL, Identifier

from benchmarks import rivals
from benchmarks.backup_ground import Ground, ground
from benchmarks.backup_ours import connections, first_set, settings_of
from benchmarks.measuring import Measured, measure_apart, median_measured
from benchmarks.table import Row
from sandbox.system import Sandbox
from tdev_operators.core.backup.buckets.stored import Place
from tdev_operators.core.backup.manifest import Manifest, State
from tdev_operators.core.backup.repository import Repository
from tdev_operators.core.backup.take import Request, take_set
from tdev_operators.core.backup.verification import verify_newest
from tdev_operators.core.drill.conclude import conclude
from tdev_operators.core.drill.drill import Drill, DrillRequest
from tdev_operators.core.drill.forecast import forecast, model
from tdev_operators.core.failover.failover import Failover
from tdev_operators.core.failover.request import FailoverRequest
from tdev_operators.core.ports import utc_now
from tdev_operators.core.recovery.buckets import Target, restore_bucket
from tdev_operators.core.recovery.database import dump_of, restore_beside
from tdev_operators.core.recovery.journal import Journal
from tdev_operators.core.recovery.ports import RecoveryPorts
from tdev_operators.core.settings import Settings, load_settings
from tdev_operators.hooks.backup_assembly import backup_ports
from tdev_operators.hooks.connections import EnvironmentConnections
from tdev_operators.hooks.drill_assembly import drill_ports
from tdev_operators.hooks.failover_assembly import failover_ports
from tdev_operators.hooks.recovery_assembly import recovery_ports

_RUNS = 5
_DRILLS = 6
_ROWS_A_DRILL = 60_000
_FAILOVER_SECONDS = 30.0
_RESTORED = "bench_restored"


def rows(*, scale: float | None = None, runs: int | None = None, drills: int = _DRILLS) -> Iterator[Row]:
    """Yield the table's rows: medians of `runs` (default: `TDEV_BENCH_RUNS`, or 5); failover and drills once."""
    runs = int(os.environ.get("TDEV_BENCH_RUNS", _RUNS)) if runs is None else runs
    with ground(scale=scale) as on:
        yield from _restores(on, runs)
    yield from _failover()
    yield from _forecast(drills)


def restore_database(on: Ground) -> None:
    """Restore the newest set's database beside what is there: fetched, loaded, analysed, held against the source."""
    with _ports(on) as (ports, settings, manifest):
        _restored(ports, settings, manifest)


def restore_everything(on: Ground) -> None:
    """The same, and all objects of both buckets, each checksum checked."""
    with _ports(on) as (ports, settings, manifest):
        _restored(ports, settings, manifest)
        place = Place(on.backups, f"{settings.system.name}/")
        for snapshot in manifest.buckets:
            target = Target(on.backups, f"bench/{time.monotonic_ns()}/{snapshot.name}/")
            done = restore_bucket(ports, place, manifest, snapshot.name, target)
            assert (done.written, done.damaged) == (snapshot.objects, [])


def _restores(on: Ground, runs: int) -> Iterator[Row]:
    rivals.guide_script(on)
    first_set(on)
    folder = rivals.prepare_directory_dump(on, on.folder.parent)
    measured: dict[str, list[Measured]] = {}
    for _ in range(runs):
        for name, work in (
            ("everything", partial(_ours, restore_everything, on)),
            ("guide", partial(rivals.guide_restore, on)),
            ("database", partial(_ours, restore_database, on)),
            ("pg_restore", partial(rivals.pg_restore, on, folder)),
        ):
            measured.setdefault(name, []).append(work())
            on.empty(on.backups, "bench/")
            on.empty(on.backups, "rivals/")
    for work_name, ours, against, theirs, at_most in (
        ("restore of a set, proven: database and buckets", "everything", "the guide's restore script", "guide", 1 / 2),
        ("restore of the database, proven", "database", "pg_restore -j2, ANALYZE, from local disk", "pg_restore", 1.4),
    ):
        we, they = median_measured(measured[ours]), median_measured(measured[theirs])
        yield Row(work_name, we.seconds, against, they.seconds, runs, at_most, we.cpu, they.cpu)


def _ours(task: Callable[[Ground], None], on: Ground) -> Measured:
    return measure_apart(partial(task, on), on.scratch_servers, on.folder)


def _restored(ports: RecoveryPorts, settings: Settings, manifest: Manifest) -> None:
    with ports.session() as session:
        session.rows(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(_RESTORED)))
    journal = Journal(ports.store, settings.buckets.backups, settings.system.name, f"bench-{time.monotonic_ns()}")
    restored = restore_beside(ports, settings, manifest, dump_of(manifest), _RESTORED, journal)
    assert restored.is_proven, (restored.differences, restored.unprovable)


@contextmanager
def _ports(on: Ground) -> Iterator[tuple[RecoveryPorts, Settings, Manifest]]:
    settings = settings_of(on)
    with recovery_ports(settings, connections(on)) as ports:
        newest = Repository(ports.store, on.backups, settings.system.name).newest(State.COMPLETE)
        assert newest is not None
        assert newest.manifest is not None
        yield ports, settings, newest.manifest


def _failover() -> Iterator[Row]:
    with Sandbox.start("small", engine=False, second_side=True) as system:
        settings = load_settings(system.settings_file)
        with failover_ports(settings, EnvironmentConnections(system.environment)) as ports:
            work = Failover(ports, settings, FailoverRequest("failover-bench", "second", "lead"))
            work.look()
            work.note_approvals(["deputy"])
            begun = time.monotonic()
            work.fence()
            work.sync()
            work.promote()
            writes = time.monotonic() - begun
            work.switch_names()
            work.start()
            work.verify()
            serves = time.monotonic() - begun
    limit = _FAILOVER_SECONDS
    yield Row("failover, planned: from the approval to writes", writes, "the limit", limit, 1, 1.0)
    yield Row("failover, planned: from the approval to service", serves, "the limit", limit, 1, 1.0)


def _forecast(drills: int) -> Iterator[Row]:
    """Hold drills on growing data; the last one's time stands against what the others foretold."""
    with Sandbox.start("small", engine=False) as system:
        settings, source = load_settings(system.settings_file), EnvironmentConnections(system.environment)
        evidence = []
        for number in range(1, drills + 1):
            with system.database() as database:
                database.execute(
                    "INSERT INTO metrics (name, value, importance, labels, timestamp) "
                    "SELECT 'bench', random(), 'low', '{}', now() - random() * interval '1 day' "
                    "FROM generate_series(1, %s)",
                    (_ROWS_A_DRILL * number,),
                )
            with backup_ports(settings, source) as ports:
                take_set(ports, settings, Request(holder=f"bench {number}"))
                assert verify_newest(ports, settings).proven
            with drill_ports(settings, source) as clean_room:
                drill = Drill(clean_room, settings, DrillRequest(f"drill-bench-{number}", "lead"))
                began = utc_now()
                drill.intend()
                drill.note_approvals(["deputy"])
                drill.rehearse()
                drill.clear()
                _, sealed = conclude(drill, settings, began, utc_now() + timedelta(seconds=1), alone=True)
                assert sealed is not None
                evidence.append(sealed.evidence)
    for number, one in zip(itertools.count(1), evidence[:-1], strict=False):
        lost = (one.disaster_at - one.recovery_point).total_seconds() if one.recovery_point else 0.0
        work = f"drill {number}: recovered {one.database_bytes / 1e6:,.0f} MB, {lost:.0f} s would have been lost"
        yield Row(work, one.rto_seconds, "the objective", settings.drill.rto_minutes * 60, 1)
    last = evidence[-1]
    foretold = sum(forecast(model([one.timed for one in evidence[:-1]]), last.timed.size).values())
    work = f"drill {drills}: recovered {last.database_bytes / 1e6:,.0f} MB"
    yield Row(work, last.rto_seconds, f"foretold by the {drills - 1} before", foretold, 1)
