"""`tdev backup`: what back-up sets there are, whether they can be read, which would go. Needs the bucket alone."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TextIO

from tdev_operators.cli.backup_export import STANDARD_OUTPUT, export
from tdev_operators.cli.backup_verify import verify
from tdev_operators.core.backup.figures import stored_bytes
from tdev_operators.core.backup.manifest import State
from tdev_operators.core.backup.repository import Repository
from tdev_operators.core.backup.retention import plan_retention
from tdev_operators.core.backup.set_records import SetOnDisk
from tdev_operators.core.errors import InputError
from tdev_operators.core.ports import utc_now
from tdev_operators.core.reporting.escaping import one_line
from tdev_operators.core.reporting.wording import counted, moment, span
from tdev_operators.core.settings import Settings, load_settings
from tdev_operators.hooks.connections import ConnectionSource, EnvironmentConnections

_EXIT_STATUSES = """exit status: 0 all is well, 1 nothing is proven, a set is damaged or the plan is refused,
4 an error"""
_LATEST, _NEWEST = "latest", "newest"
_WHICH = f"a set id, its number, {_LATEST} (the newest that is PROVEN) or {_NEWEST} (the newest that is complete)"
_DIGITS = 6  # of a sequence in a set id
_MB = 1_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `tdev backup` takes."""
    parser.epilog = _EXIT_STATUSES
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    json_flag = argparse.ArgumentParser(add_help=False)
    json_flag.add_argument("--json", action="store_true", help="print JSON instead of lines")
    actions.add_parser("list", parents=[json_flag], help="all sets, the newest first")
    show = actions.add_parser("show", parents=[json_flag], help="what one set holds")
    show.add_argument("set", nargs="?", default=_LATEST, help=f"{_WHICH}; default: {_LATEST}")
    check = actions.add_parser("verify", parents=[json_flag], help="read back every byte that a set wrote")
    check.add_argument("set", nargs="?", default=_NEWEST, help=f"{_WHICH}; default: {_NEWEST}")
    check.add_argument("--attest", action="store_true", help="record in the bucket that the set is READABLE")
    single = actions.add_parser("export", parents=[json_flag], help="write a set as one file backup-YYYYMMDD.tar.gz")
    single.add_argument("set", nargs="?", default=_LATEST, help=f"{_WHICH}; default: {_LATEST}")
    single.add_argument(
        "--to", required=True, metavar="FOLDER", help=f"where the file goes; {STANDARD_OUTPUT} is standard output"
    )
    single.add_argument("--unproven", action="store_true", help="also a set that nobody has restored yet")
    actions.add_parser("plan-retention", parents=[json_flag], help="which sets would go; removes nothing")


def run(args: argparse.Namespace) -> int:
    """Carry out `tdev backup`; returns the exit status."""
    return backup(args)


def backup(
    args: argparse.Namespace,
    *,
    environment: Mapping[str, str] = os.environ,
    settings: Settings | None = None,
    now: datetime | None = None,
    out: TextIO | None = None,
) -> int:
    """Carry out one action. The connection `tdev_aws` comes from the environment.

    Raises:
        TdevError: settings, connection or bucket cannot be read, or there is no such set.
    """
    settings, out, now = settings or load_settings(), out or sys.stdout, now or utc_now()
    connections = EnvironmentConnections(environment)
    with repository_of(settings, connections) as repository:
        match args.action:
            case "list":
                return _list(repository.sets(), now, out, as_json=args.json)
            case "show":
                return _show(_resolved(repository, args.set), out, as_json=args.json)
            case "verify":
                found = _resolved(repository, args.set)
                return verify(repository, found, connections, out, attest=args.attest, as_json=args.json)
            case "export":
                if args.json and args.to == STANDARD_OUTPUT:
                    raise InputError("--json and the archive cannot both go to standard output; give --to a folder.")
                found = _resolved(repository, args.set)
                return export(
                    repository, found, connections, out, to=args.to, unproven=args.unproven, as_json=args.json
                )
            case _:
                return _plan(repository, settings, now, out, as_json=args.json)


@contextmanager
def repository_of(settings: Settings, connections: ConnectionSource) -> Iterator[Repository]:
    """Open the sets of the system."""
    # Not at the top: the other commands do without botocore, which takes a second to import.
    from tdev_operators.hooks.backup_store import S3BackupStore  # noqa: PLC0415

    with S3BackupStore.of(settings.backup, connections) as store:
        yield Repository(store, settings.buckets.backups, settings.system.name)


def _resolved(repository: Repository, which: str) -> SetOnDisk:
    if which in {_LATEST, _NEWEST}:
        state = State.PROVEN if which == _LATEST else State.COMPLETE
        found = repository.newest(state)
        if found is None:
            instead = f", or name {_NEWEST}" if which == _LATEST else ""
            raise InputError(
                f"No set in {repository.bucket}/{repository.root} is {state}; see `tdev backup list`{instead}."
            )
        return found
    if which.isascii() and which.isdigit() and len(which) <= _DIGITS:
        ids = [folder.set_id for folder in repository.folders() if int(folder.set_id[:_DIGITS]) == int(which)]
        if len(ids) != 1:
            raise InputError(f"There is no single set of number {which}; take an id of `tdev backup list`.")
        which = ids[0]
    return repository.get(which)


def _list(sets: Sequence[SetOnDisk], now: datetime, out: TextIO, *, as_json: bool) -> int:
    proven = next((one for one in sets if one.state is State.PROVEN), None)
    if as_json:
        print(json.dumps([_summary(one) for one in sets], indent=2), file=out)
        return 0 if proven else 1
    rows = [("SET", "STATE", "KIND", "RECOVERY POINT", "DATABASES", "OBJECTS", "STORED MB"), *map(_row, sets)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(f"{text:{width}}" for text, width in zip(row, widths, strict=True)).rstrip(), file=out)
    for remark in (remark for one in sets for remark in one.remarks):
        print(f"Note: {one_line(remark)}", file=out)
    if proven is None:
        print(f"{counted(len(sets), 'set')}; none is PROVEN.", file=out)
        return 1
    age = span((now - proven.recovery_point).total_seconds())
    print(f"{counted(len(sets), 'set')}; the newest PROVEN one, {proven.set_id}, goes back {age}.", file=out)
    return 0


def _row(one: SetOnDisk) -> tuple[str, ...]:
    manifest = one.manifest
    if manifest is None:
        return one.set_id, one.state.value, "", "", "", "", ""
    return (
        one.set_id,
        one.state.value,
        "full" if manifest.full else "daily",
        moment(one.recovery_point),
        str(len(manifest.databases)),
        f"{sum(snapshot.objects for snapshot in manifest.buckets):,}",
        f"{stored_bytes(manifest) / _MB:,.1f}",
    )


def _summary(one: SetOnDisk) -> dict[str, Any]:
    manifest = one.manifest
    return {
        "set_id": one.set_id,
        "sequence": one.sequence,
        "state": one.state.value,
        "full": manifest.full if manifest else None,
        "recovery_point": one.recovery_point.isoformat() if manifest else None,
        "stored_bytes": stored_bytes(manifest) if manifest else None,
        "manifest_sha256": one.manifest_sha256 or None,
        "remarks": list(one.remarks),
    }


def _show(one: SetOnDisk, out: TextIO, *, as_json: bool) -> int:
    manifest = one.manifest
    if as_json:
        attested = {kind: attestation.model_dump(mode="json") for kind, attestation in one.attestations.items()}
        whole = manifest.model_dump(mode="json") if manifest else None
        print(json.dumps({**_summary(one), "attestations": attested, "manifest": whole}, indent=2), file=out)
        return 0
    print(f"{one.set_id}  {one.state}", file=out)
    for remark in one.remarks:
        print(f"Note: {one_line(remark)}", file=out)
    if manifest is None:
        print("It has no manifest that can be read, so that what it holds is not known.", file=out)
        return 0
    took = span((manifest.completed_at - manifest.started_at).total_seconds())
    kind = "full" if manifest.full else "daily"
    print(
        f"{kind}, begun {moment(manifest.started_at)}, took {took}; recovery point {moment(one.recovery_point)}; "
        f"encryption {manifest.encryption}; by version {manifest.product_version}",
        file=out,
    )
    for dump in manifest.databases:
        print(
            f"database {one_line(dump.name)} ({dump.role}): {counted(dump.tables, 'table')}, {dump.rows:,} rows, "
            f"{dump.raw_bytes / _MB:,.1f} MB stored as {dump.stored_bytes / _MB:,.1f} MB in "
            f"{counted(len(dump.files), 'file')}; {dump.tool}",
            file=out,
        )
    for snapshot in manifest.buckets:
        earlier = len(snapshot.referenced_sets)
        print(
            f"bucket {snapshot.name}: {counted(snapshot.objects, 'object')}, {snapshot.bytes / _MB:,.1f} MB; "
            f"{counted(len(snapshot.packs), 'pack')} and {counted(snapshot.copies, 'large object')} of its own; "
            f"refers to {counted(earlier, 'earlier set')}",
            file=out,
        )
    for attestation in one.attestations.values():
        facts = ", ".join(f"{name} {value}" for name, value in attestation.facts.items())
        print(f"{attestation.kind} at {moment(attestation.at)}: {one_line(facts)}", file=out)
    return 0


def _plan(repository: Repository, settings: Settings, now: datetime, out: TextIO, *, as_json: bool) -> int:
    rules = settings.backup
    plan = plan_retention(
        repository.sets(),
        now,
        rules.keep,
        keep_unproven_days=rules.keep_unproven_days,
        max_delete_percent=rules.max_delete_percent,
        known_before=0,  # the ledger knows, and may be dead
        store_now=repository.store.server_time(),
    )
    if as_json:
        decisions = [
            {"set_id": one.set_id, "state": one.state.value, "keep": one.keep, "reason": one.reason}
            for one in plan.decisions
        ]
        print(json.dumps({"refusal": plan.refusal, "remove": list(plan.remove), "sets": decisions}, indent=2), file=out)
    else:
        print(plan.to_text(), file=out)
    return 1 if plan.refusal else 0
