"""`tdev restore`: restores a set, or says what that would do. Needs the bucket and the server, no Airflow, no ledger.

tdev restore --dry-run                      which set, what would be written, whether there is room
tdev restore                                the newest PROVEN set's database, beside the live one, proven there
tdev restore --buckets agents               with a bucket; nothing newer is overwritten
tdev restore --into live --approved-by A --approved-by B   in the live one's place, after a safety set of that
tdev restore --replaced                     databases that restores replaced; tdev_drop_replaced drops one
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, TextIO

from tdev_operators.cli.notes import kept_apart, progress, shell_run_id
from tdev_operators.core.recovery.approvals import NEEDED_FOR_LIVE, refuse_unapproved
from tdev_operators.core.recovery.request import RestoreRequest
from tdev_operators.core.reporting.escaping import one_line
from tdev_operators.core.reporting.wording import counted, moment
from tdev_operators.core.settings import Settings, load_settings
from tdev_operators.hooks.connections import EnvironmentConnections

if TYPE_CHECKING:
    from tdev_operators.core.recovery.restore import Restore


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `tdev restore` takes."""
    parser.epilog = "exit status: 0 restored and proven, 1 restored and not as it was, 4 an error"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add(
        "set",
        nargs="?",
        default="",
        help="a set id, its number, a day (its newest), or an old archive; default: the newest PROVEN",
    )
    add("--unproven", action="store_true", help="take a set that nobody has restored and compared")
    add("--into", choices=("beside", "live", "none"), default="beside", help="where the database goes")
    add("--name", default="", help="the new database's name (default: <database>_restored_<number>)")
    add("--database", default="", metavar="NAME", help="which database of the set (default: the system's own)")
    add("--tables", default="", metavar="A,B", help="only the rows of these tables")
    add("--buckets", default="", metavar="A,B", help="buckets to restore too")
    add("--buckets-into", choices=("live", "scratch"), default="live", help="the live buckets, or a scratch prefix")
    add("--overwrite-newer", action="store_true", help="also objects that were written after the set")
    add("--remove-surplus", action="store_true", help="remove objects that are not in the set")
    add("--slots", action="store_true", help="accept that replication slots of the live database start over")
    add("--no-safety-set", action="store_true", help="accept the renamed original as the only safety copy")
    add("--approved-by", action="append", default=[], metavar="PERSON", help="who approved; twice for --into live")
    add("--recovery", default="", metavar="ID", help="go on with a recovery that was interrupted")
    add("--replaced", action="store_true", help="list the databases that restores replaced, and restore nothing")
    add("--dry-run", action="store_true", help="only say what would be done")
    add("--json", action="store_true", help="print JSON instead of lines")


def run(args: argparse.Namespace) -> int:
    """Carry out `tdev restore`; returns the exit status."""
    return list_replaced() if args.replaced else restore(args)


def restore(
    args: argparse.Namespace,
    *,
    environment: Mapping[str, str] = os.environ,
    settings: Settings | None = None,
    out: TextIO | None = None,
) -> int:
    """Restore; the connections come from the environment. Progress goes to standard error.

    Raises:
        TdevError: it cannot be done; the sentence says why.
    """
    from tdev_operators.core.recovery.archive_restore import restore_kind  # noqa: PLC0415  not for the other commands
    from tdev_operators.hooks.recovery_assembly import recovery_ports  # noqa: PLC0415

    settings, out = settings or load_settings(), out or sys.stdout
    request = _request(args)
    if request.replaces_live and not args.dry_run:
        refuse_unapproved(settings.recovery, request.requested_by, args.approved_by, NEEDED_FOR_LIVE)

    with recovery_ports(settings, EnvironmentConnections(environment)) as ports:
        work = restore_kind(request.which)(ports, settings, request, progress=progress)
        progress(f"recovery {request.recovery_id}, journal {work.journal.place}")
        chosen = work.chosen()
        lines = [f"set {chosen['set_id']}, recovery point {chosen['recovery_point']}"]
        if chosen["missing"]:
            lines.append(f"NOT PROVEN: {chosen['missing']}")
        lines += work.preflight()
        if args.dry_run:
            _print(out, args.json, lines, {"set_id": chosen["set_id"], "told": lines})
            return 0
        if request.replaces_live:
            _make_ready(work, settings, environment, args.approved_by, progress)
        try:
            restored = work.restore_database()
            buckets = work.restore_buckets()
            places = work.replace_live() if request.replaces_live else None
        except BaseException:
            progress(work.settle())
            raise
    is_good = (restored is None or restored.is_proven) and not any(bucket.damaged for bucket in buckets)
    if restored:
        lines.append(
            f"database {restored.name}: {restored.rows:,} rows of {restored.tables} tables, "
            + ("equal to the source at the snapshot" if restored.is_proven else "NOT PROVEN")
        )
        lines += [f"  {difference}" for difference in (*restored.differences, restored.unprovable) if difference]
        lines.append("  " + ", ".join(f"{phase} {took:.1f} s" for phase, took in restored.phases.items()))
    for bucket in buckets:
        lines.append(
            f"bucket {bucket.name}: {counted(bucket.written, 'object')} written, {bucket.removed:,} removed, "
            f"{bucket.kept:,} kept"
        )
        lines += [f"  DAMAGED: {damage}" for damage in bucket.damaged[:20]]
    if places:
        lines.append(f"{places.live_name} is the restored database; the old one is kept as {places.old_name}")
    told = {
        "set_id": chosen["set_id"],
        "recovery": request.recovery_id,
        "database": restored.facts() if restored else None,
        "old_name": places.old_name if places else None,
        "good": is_good,
    }
    _print(out, args.json, lines, told)
    return 0 if is_good else 1


def _make_ready(
    work: "Restore",
    settings: Settings,
    environment: Mapping[str, str],
    people: Sequence[str],
    progress: Callable[[str], None],
) -> None:
    """See that the live database may be replaced, before hours of restoring: approvals, and the safety set."""
    work.note_approvals(people)
    if not work.request.no_safety_set and not work.has_safety_set:
        holder = f"{work.request.recovery_id} safety"
        work.note_safety_set(_safety_set(settings, environment, holder, work.source_name, progress))
    work.refuse_unready()


def _safety_set(
    settings: Settings,
    environment: Mapping[str, str],
    holder: str,
    database: str,
    progress: Callable[[str], None],
) -> str:
    """Take a set of the live database and return its id; other back-ups are kept away while the ledger is there."""
    from tdev_operators.core.backup.take import Request, backup_lease, take_set  # noqa: PLC0415  not for the other commands
    from tdev_operators.hooks.backup_assembly import backup_ports  # noqa: PLC0415
    from tdev_operators.hooks.ledger import PostgresLedger  # noqa: PLC0415
    from tdev_operators.hooks.ledger_database import CONNECTION  # noqa: PLC0415

    connections, name = EnvironmentConnections(environment), backup_lease(settings.system.name)
    with ExitStack() as stack:
        ledger = PostgresLedger(connections.get(CONNECTION))
        check = kept_apart(stack, lambda: ledger.lease(name, holder), name, "back-up", progress)
        ports = stack.enter_context(backup_ports(settings, connections))
        taken = take_set(ports, settings, Request(holder=holder, databases=(database,)), check=check, progress=progress)
    progress(f"the set {taken.manifest.set_id} of the live database is COMPLETE")
    return taken.manifest.set_id


def list_replaced(
    *, environment: Mapping[str, str] = os.environ, settings: Settings | None = None, out: TextIO | None = None
) -> int:
    """Print the databases that restores replaced, and whether they are kept still.

    Raises:
        TdevError: the bucket cannot be read.
    """
    from tdev_operators.core.recovery.drop_replaced import all_replaced  # noqa: PLC0415  not for the other commands
    from tdev_operators.hooks.recovery_assembly import recovery_ports  # noqa: PLC0415

    settings = settings or load_settings()
    with recovery_ports(settings, EnvironmentConnections(environment)) as ports:
        for one in all_replaced(ports, settings):
            state = "dropped" if one.dropped else "kept"
            line = f"{moment(one.since)}  {state:7}  {one.places.old_name}  {one.recovery_id}"
            print(one_line(line), file=out or sys.stdout)
    return 0


def _request(args: argparse.Namespace) -> RestoreRequest:
    return RestoreRequest(
        recovery_id=args.recovery or shell_run_id("restore"),
        requested_by="shell",
        which=args.set,
        unproven=args.unproven,
        database=args.into,
        source=args.database,
        new_name=args.name,
        tables=_words(args.tables),
        buckets=_words(args.buckets),
        buckets_into=args.buckets_into,
        overwrite_newer=args.overwrite_newer,
        remove_surplus=args.remove_surplus,
        slots=args.slots,
        no_safety_set=args.no_safety_set,
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _print(out: TextIO, as_json: bool, lines: list[str], told: Mapping[str, object]) -> None:  # noqa: FBT001
    print(json.dumps(told, indent=2, default=str) if as_json else "\n".join(map(one_line, lines)), file=out)
