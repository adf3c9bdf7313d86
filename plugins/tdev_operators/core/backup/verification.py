"""Verification of tonight's set: read back, restored, compared; then retention (guide: Backup verification).

Only here does a set become READABLE and PROVEN. Yesterday's green never stands in for tonight's set.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import version

from tdev_operators.core.backup.buckets.read import restore_sample
from tdev_operators.core.backup.figures import recovery_point_age
from tdev_operators.core.backup.locks import extend_locks
from tdev_operators.core.backup.manifest import Attestation, Manifest, State
from tdev_operators.core.backup.ports import BackupStore
from tdev_operators.core.backup.proof.prove import BucketsProof, prove_set
from tdev_operators.core.backup.readback import read_back
from tdev_operators.core.backup.repository import Repository
from tdev_operators.core.backup.retention import RetentionPlan, plan_retention
from tdev_operators.core.backup.set_records import SetOnDisk
from tdev_operators.core.backup.sweep import apply_plan, index_references
from tdev_operators.core.backup.take import BackupPorts
from tdev_operators.core.backup.verified import (
    manifest_of,
    mutant_result,
    proof_result,
    retention_result,
    tonight_result,
)
from tdev_operators.core.errors import BusyError, InputError, ProofFailedError, TdevError
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict

_READ_HINT = "Take a full set now (tdev_daily, backup, full); look into the store's own health before you trust it."
_RETENTION_HINT = "Look at `tdev backup plan-retention`; nothing was removed."


@dataclass(frozen=True, slots=True)
class Verified:
    """What there is to say about the newest set; `set_id` is empty when there is none, `proven` says whether it is."""

    set_id: str
    proven: bool
    results: tuple[CheckResult, ...]


def verify_newest(
    ports: BackupPorts,
    settings: Settings,
    *,
    check: Callable[[], None] = lambda: None,
    progress: Callable[[str], None] = lambda _: None,
    journal: Callable[[str, Mapping[str, object]], None] = lambda _event, _facts: None,
    known_before: Callable[[], int] = lambda: 0,
) -> Verified:
    """Verify the newest complete set, attest what it is, then remove what the keep rules let go.

    The caller holds the system's lease; `check` raises when it is lost, `journal` is told before anything is removed.
    `known_before` says how many sets somebody saw last time: where far fewer are listed now, nothing is removed.

    Raises:
        TransientError: store or scratch server are away; try again.
        AccessDeniedError: the set is encrypted, and no identity fits.
    """
    repository = Repository(ports.store, settings.buckets.backups, settings.system.name)
    sets = repository.sets()
    now = _database_now(ports, settings)
    newest = next((one for one in sets if one.reached(State.COMPLETE)), None)
    results = [tonight_result(sets, newest, now, settings.backup)]
    proven = False
    if newest is not None and newest.manifest is not None:
        readable, result = _readable(ports, repository, newest, check, progress)
        results.append(result)
        if readable:
            proven, found = _proven(ports, settings, repository, newest, check, progress)
            results += found
    if proven and newest is not None:
        results += _locked(ports, repository, newest, sets)
        results.append(_retained(ports, settings, repository, check, progress, journal, known_before))
    results.append(recovery_point_age(repository.newest(State.PROVEN), now, settings.backup))
    return Verified(newest.set_id if newest else "", proven, tuple(results))


def retention_plan(
    ports: BackupPorts, settings: Settings, repository: Repository, known_before: int = 0
) -> RetentionPlan:
    """Return what the keep rules would remove now; nothing is removed."""
    sets = repository.sets()
    backup = settings.backup
    return plan_retention(
        sets,
        ports.clock(),
        backup.keep,
        keep_unproven_days=backup.keep_unproven_days,
        max_delete_percent=backup.max_delete_percent,
        known_before=known_before,
        store_now=ports.store.server_time(),
    )


def _database_now(ports: BackupPorts, settings: Settings) -> datetime:
    # A dead database must not keep a set from being verified: it is then that the set is needed.
    with suppress(TdevError), ports.maintained(settings.backup.databases[0]).session() as session:
        now: datetime = session.rows("SELECT clock_timestamp() AS now")[0]["now"]
        return now
    return ports.store.server_time()


def _readable(
    ports: BackupPorts,
    repository: Repository,
    newest: SetOnDisk,
    check: Callable[[], None],
    progress: Callable[[str], None],
) -> tuple[bool, CheckResult]:
    manifest = manifest_of(newest)
    name, coverage = "backup.readable", Coverage(seen=(newest.set_id,))

    try:
        facts = read_back(ports.store, repository.bucket, repository.system, manifest, ports.cipher, progress, check)
    except (ProofFailedError, InputError) as error:
        repository.withdraw(newest.set_id)
        return False, CheckResult(name, Verdict.CRITICAL, str(error), hint=_READ_HINT, coverage=coverage)
    repository.attest(_attestation("readable", newest, ports.clock(), facts))
    measured = tuple(Measurement(key, float(value)) for key, value in facts.items() if isinstance(value, int | float))
    summary = f"All {facts['objects']} objects that {newest.set_id} wrote were read back and are as they were written."
    return True, CheckResult(name, Verdict.OK, summary, measured, coverage=coverage)


def _proven(
    ports: BackupPorts,
    settings: Settings,
    repository: Repository,
    newest: SetOnDisk,
    check: Callable[[], None],
    progress: Callable[[str], None],
) -> tuple[bool, list[CheckResult]]:
    backup = settings.backup

    def restore_buckets(store: BackupStore, manifest: Manifest) -> BucketsProof:
        return restore_sample(
            store,
            repository.bucket,
            repository.system,
            manifest,
            ports.cipher,
            sample_percent=backup.sample_percent,
            progress=progress,
            check=check,
        )

    report = prove_set(
        ports.store,
        repository.bucket,
        repository.system,
        manifest_of(newest),
        backup,
        ports.cipher,
        scratch=ports.scratch,
        restore_buckets=restore_buckets,
        progress=progress,
        check=check,
    )
    if report.verdict is Verdict.OK:
        repository.attest(_attestation("proven", newest, ports.clock(), report.facts()))
    elif report.differences:
        repository.withdraw(newest.set_id)
    return report.verdict is Verdict.OK, [proof_result(newest, report), *mutant_result(report)]


def _locked(
    ports: BackupPorts, repository: Repository, newest: SetOnDisk, sets: Sequence[SetOnDisk]
) -> list[CheckResult]:
    earlier = next((one for one in sets if one.reached(State.PROVEN) and one.set_id != newest.set_id), None)
    result = extend_locks(
        ports.store,
        repository.bucket,
        newest,
        earlier.recovery_point if earlier else None,
        newest.recovery_point,
        index_references(repository, ports.cipher),
    )
    return [result] if result else []


def _retained(
    ports: BackupPorts,
    settings: Settings,
    repository: Repository,
    check: Callable[[], None],
    progress: Callable[[str], None],
    journal: Callable[[str, Mapping[str, object]], None],
    known_before: Callable[[], int],
) -> CheckResult:
    name, coverage = "backup.retention", Coverage(seen=(repository.bucket,))

    try:
        plan = retention_plan(ports, settings, repository, known_before())
        done = apply_plan(
            repository,
            plan,
            grace=timedelta(days=settings.backup.sweep_grace_days),
            references=index_references(repository, ports.cipher),
            journal=journal,
            progress=progress,
            still_ours=check,
        )
    except TdevError as error:  # the set is proven all the same; what could not be tidied away is tidied tomorrow
        expected = isinstance(error, InputError | BusyError)
        verdict = Verdict.WARNING if expected else Verdict.UNKNOWN
        return CheckResult(name, verdict, str(error), hint=_RETENTION_HINT, coverage=coverage)
    return retention_result(name, plan, done, coverage)


def _attestation(kind: str, found: SetOnDisk, at: datetime, facts: Mapping[str, float | int | str]) -> Attestation:
    return Attestation(
        kind=kind,
        set_id=found.set_id,
        manifest_sha256=found.manifest_sha256,
        at=at,
        product_version=version("tdev-maintenance"),
        facts=dict(facts),
    )
