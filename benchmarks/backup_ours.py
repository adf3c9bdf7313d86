"""Our side of the back-up benchmarks: the very functions that the operators call, each as a task of a fresh process.

What a worker has loaded before it begins is imported at the top. A set that the next one may refer to was read back
first, as verification does; that is `verify_readable`, and is not measured.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from benchmarks.backup import Ours
from benchmarks.backup_ground import LEDGER_DATABASE, Ground
from sandbox.settings_file import write_settings
from tdev_operators.core.backup.buckets.read import restore_sample
from tdev_operators.core.backup.buckets.report import SnapshotReport
from tdev_operators.core.backup.buckets.snapshot import snapshot_bucket
from tdev_operators.core.backup.database.dump import dump_database
from tdev_operators.core.backup.database.proof_record import record
from tdev_operators.core.backup.database.snapshot import held_snapshot
from tdev_operators.core.backup.manifest import Attestation, BucketSnapshot, Manifest, State, StoredFile
from tdev_operators.core.backup.proof.prove import prove_set
from tdev_operators.core.backup.readback import read_back
from tdev_operators.core.backup.repository import Repository
from tdev_operators.core.backup.take import BackupPorts, Request, take_set
from tdev_operators.core.errors import SetupMissingError
from tdev_operators.core.ports import utc_now
from tdev_operators.core.settings import Settings, load_settings
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.backup_assembly import backup_ports
from tdev_operators.hooks.connections import AWS, POSTGRES, ConnectionFacts, ConnectionSource
from tdev_operators.hooks.ledger_database import CONNECTION as LEDGER

RESTORE = "tdev_restore"

_FIRST = "first.json"


class _Connections:
    """The connections of a ground; what is restored goes into its scratch server."""

    def __init__(self, on: Ground) -> None:
        facts = {name: on.database[name] for name in ("host", "port")}
        login = {"login": on.database["user"], "password": on.database["password"]}
        self._facts = {
            POSTGRES: ConnectionFacts(POSTGRES, "postgres", **facts, **login, schema=on.database["dbname"]),
            LEDGER: ConnectionFacts(LEDGER, "postgres", **facts, **login, schema=LEDGER_DATABASE),
            RESTORE: _facts(RESTORE, on.scratch),
            AWS: ConnectionFacts(
                AWS,
                "aws",
                login=on.access_key,
                password=on.secret_key,
                extra={"region_name": on.region, "service_config": {"s3": {"endpoint_url": on.endpoint_url}}},
            ),
        }

    def get(self, name: str) -> ConnectionFacts:
        if name not in self._facts:
            raise SetupMissingError(f"The bench has no connection {name}.")
        return self._facts[name]


def _facts(name: str, conninfo: Mapping[str, Any]) -> ConnectionFacts:
    where = {"host": conninfo["host"], "port": conninfo["port"], "login": conninfo["user"]}
    return ConnectionFacts(name, "postgres", **where, password=conninfo["password"], schema="postgres")


def connections(on: Ground) -> ConnectionSource:
    """Return the connections of a ground."""
    return _Connections(on)


def first_set(on: Ground) -> None:
    """Take a complete set into an empty bucket."""
    _take(on, "first")


def verify_readable(on: Ground) -> None:
    """Read the newest set back and attest it, so that the next one may refer to it."""
    with _ports(on) as (ports, settings):
        repository = Repository(ports.store, on.backups, settings.system.name)
        newest = repository.newest(State.COMPLETE)
        assert newest is not None
        assert newest.manifest is not None

        facts = read_back(
            ports.store,
            on.backups,
            settings.system.name,
            newest.manifest,
            ports.cipher,
            lambda _: None,
            lambda: None,
        )
        repository.attest(
            Attestation(
                kind="readable",
                set_id=newest.set_id,
                manifest_sha256=newest.manifest_sha256,
                at=utc_now(),
                product_version=version("tdev-maintenance"),
                facts=dict(facts),
            )
        )


def next_day_set(on: Ground) -> None:
    """Take the set after that."""
    _take(on, "next day")


def restore_and_prove(on: Ground) -> None:
    """Prove the newest set whole: databases restored and compared, a mutant caught, a sample of both buckets restored.

    Starting the disposable server counts.
    """
    with _ports(on) as (ports, settings):
        found = Repository(ports.store, on.backups, settings.system.name).newest(State.COMPLETE)
        assert found is not None
        assert found.manifest is not None
        report = prove_set(
            ports.store,
            on.backups,
            settings.system.name,
            found.manifest,
            settings.backup,
            ports.cipher,
            scratch=ports.scratch,
            restore_buckets=lambda store, manifest: restore_sample(
                store,
                on.backups,
                settings.system.name,
                manifest,
                ports.cipher,
                sample_percent=settings.backup.sample_percent,
            ),
        )
        assert report.verdict is Verdict.OK, (report.differences, report.doubts)


def database_only(on: Ground) -> None:
    """Dump the database with its digests, as a set does: both read one snapshot, side by side."""
    with _ports(on) as (ports, settings):
        source = ports.maintained(str(on.database["dbname"]))
        with (
            held_snapshot(source, lock_wait_seconds=settings.backup.lock_wait_seconds) as held,
            ThreadPoolExecutor(1) as beside,
        ):
            catalogue = held.catalogue
            proof = beside.submit(record, source, held, jobs=settings.backup.parallel_jobs)
            dump_database(
                source,
                held.id,
                ports.store,
                on.backups,
                "database/",
                source.name,
                settings.backup,
                ports.cipher,
                major=catalogue.major,
                expected_tables=[(table.schema, table.name) for table in catalogue.tables],
                check=lambda: None,
                progress=lambda _: None,
                encoding=catalogue.encoding,
            )
            proof.result()


def bucket_first(on: Ground) -> None:
    """Take a snapshot of every source bucket, nothing known before."""
    with _ports(on) as (ports, settings):
        taken = tuple(_snapshot(ports, settings, on, bucket, 1, None)[0] for bucket in on.sources)
        ports.store.put(on.backups, _FIRST, _manifest(settings, taken).to_bytes())


def bucket_unchanged(on: Ground) -> None:
    """Take another straight after it."""
    with _ports(on) as (ports, settings):
        before = Manifest.model_validate_json(ports.store.read_whole(on.backups, _FIRST, max_bytes=1 << 20))
        for bucket, known in zip(on.sources, before.buckets, strict=True):
            _, report = _snapshot(ports, settings, on, bucket, 2, before)
            assert report.unchanged == known.objects, "something was stored again"


OURS = Ours(
    first_set=first_set,
    verify_readable=verify_readable,
    next_day_set=next_day_set,
    database_only=database_only,
    bucket_first=bucket_first,
    bucket_unchanged=bucket_unchanged,
    restore_and_prove=restore_and_prove,
)


def _take(on: Ground, holder: str) -> None:
    with _ports(on) as (ports, settings):
        take_set(ports, settings, Request(holder=holder))


def _set_id(number: int) -> str:
    return f"{number:06d}-20260101T210000Z-abcdef"


def _snapshot(
    ports: BackupPorts, settings: Settings, on: Ground, bucket: str, number: int, before: Manifest | None
) -> tuple[BucketSnapshot, SnapshotReport]:
    return snapshot_bucket(
        ports.store,
        name=bucket,
        bucket=bucket,
        target_bucket=on.backups,
        system=settings.system.name,
        set_id=_set_id(number),
        previous=before,
        settings=settings.backup,
        cipher=ports.cipher,
        full=False,
        now=utc_now(),
    )


def _manifest(settings: Settings, snapshots: tuple[BucketSnapshot, ...]) -> Manifest:
    """Return a manifest of buckets alone."""
    now = utc_now()
    return Manifest(
        system=settings.system.name,
        set_id=_set_id(1),
        sequence=1,
        full=False,
        started_at=now,
        completed_at=now,
        product_version=version("tdev-maintenance"),
        encryption="none",
        recipients=(),
        databases=(),
        globals=StoredFile(key="none", size_bytes=0, sha256=""),
        buckets=snapshots,
        requests={},
    )


def settings_of(on: Ground) -> Settings:
    """Return the settings for a ground."""
    agents, *others = on.sources
    file = on.folder.parent / "tdev.toml"
    differences = {
        "buckets": {"agents": agents, "checkpoints": others[0] if others else agents + "-none", "backups": on.backups},
        "backup": {"databases": [on.database["dbname"]]},
    }
    write_settings(file, differences)
    return load_settings(file)


@contextmanager
def _ports(on: Ground) -> Iterator[tuple[BackupPorts, Settings]]:
    settings = settings_of(on)
    with backup_ports(settings, _Connections(on)) as ports:
        yield ports, settings
