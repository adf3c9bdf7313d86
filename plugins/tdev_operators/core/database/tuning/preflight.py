"""What has to be so before anything is changed; each refusal says what to do."""

import re
from collections.abc import Sequence
from datetime import datetime

from tdev_operators.core.database.tuning import memory
from tdev_operators.core.database.tuning.plan import Change, Plan, TuningRequest
from tdev_operators.core.database.tuning.ports import TuningPorts
from tdev_operators.core.database.tuning.reading import Seen, look
from tdev_operators.core.database.tuning.told import owner_of
from tdev_operators.core.database.tuning.triangle import bad_lines, counting_line
from tdev_operators.core.database.tuning.units import in_base_units, same, same_words
from tdev_operators.core.errors import AccessDeniedError, InputError, TdevError
from tdev_operators.core.maintenance_window import refuse_closed
from tdev_operators.core.settings import Settings

# A standby with a smaller value than its primary's stops replaying, or does not start.
STANDBYS_FIRST = frozenset(
    {
        "max_connections",
        "max_worker_processes",
        "max_wal_senders",
        "max_prepared_transactions",
        "max_locks_per_transaction",
    }
)


def refusals(
    ports: TuningPorts, settings: Settings, request: TuningRequest, plan: Plan, seen: Seen, standbys: Sequence[str]
) -> list[TdevError]:
    """Return why the plan cannot be carried out, the weightiest reason first; nothing when it can.

    `standbys` are those that follow the server now.
    """
    changes = plan.of("reload", "restart")
    found: list[TdevError] = []
    if changes:
        found += _of_the_files(settings, changes, seen)
    if restart := plan.of("restart"):
        found += _of_a_restart(ports, settings, request, restart, seen)
        found += _of_standbys(ports, settings, restart, seen, standbys)
    return found


def printed_only(seen: Seen) -> str:
    """Return why changes are printed and not made, where ALTER SYSTEM is switched off; else nothing."""
    return "" if seen.server.allows_alter_system else "allow_alter_system"


def refuse_closed_window(settings: Settings, request: TuningRequest, now: datetime) -> None:
    """Refuse a restart outside the maintenance window, unless it was asked for now.

    Raises:
        InputError: it names the next opening.
    """
    if not request.now:
        refuse_closed(settings.system.maintenance_window, now, "A restart interrupts the application")


def memory_objections(ports: TuningPorts, settings: Settings, changes: dict[str, str], seen: Seen) -> list[str]:
    """Say what the database's host does not bear of these values (base units, by lower-case name).

    Raises:
        InputError: there is no such host. TdevError: it cannot be asked.
    """
    if ports.host is None:
        raise InputError("recovery.database_host is empty, so nobody knows how much memory the server may take")
    return memory.objections(
        changes,
        seen.running,
        memory.memory_of(ports.host),
        share_percent=settings.tuning.shared_memory_percent,
    )


def _of_the_files(settings: Settings, changes: Sequence[Change], seen: Seen) -> list[TdevError]:
    server, owner = seen.server, owner_of(settings.tuning.managed, seen)
    if owner:
        return [InputError(f"The server's files belong to {owner}; change it there, as the dry run prints.")]
    if not server.allows_alter_system:
        return [InputError("allow_alter_system is off; change it where the files come from, as the dry run prints.")]
    found: list[TdevError] = []
    if seen.lines is None:
        found.append(AccessDeniedError(f"Nobody could say what to take it back to: {seen.unread}."))
    denied = [change.name for change in changes if not seen.running[change.name.lower()].may_alter]
    if denied:
        grants = f'GRANT ALTER SYSTEM ON PARAMETER {", ".join(denied)} TO "{server.login}"'
        found.append(AccessDeniedError(f"The role {server.login} may not set {', '.join(denied)}: {grants}."))
    if not server.may_reload:
        grant = f'GRANT EXECUTE ON FUNCTION pg_reload_conf() TO "{server.login}"'
        found.append(AccessDeniedError(f"The role {server.login} may not have the files read again: {grant}."))
    found += _of_others(changes, seen)
    if bad := bad_lines(seen):
        line = bad[0]
        found.append(
            InputError(
                f"{line.place} has a fault ({line.name} = {line.shown}: {line.error}), with which a reload may "
                "change nothing and a restart fails; mend it first."
            )
        )
    return found


def _of_others(changes: Sequence[Change], seen: Seen) -> list[TdevError]:
    """What others have written and nobody has reloaded would come into force with our reload."""
    planned = {change.name.lower() for change in changes}
    found: list[TdevError] = []
    for name, setting in seen.running.items():
        line, filed = counting_line(setting, seen)
        unsure = setting.is_ours or setting.is_overridden or setting.is_fixed or setting.needs_restart
        if name in planned or unsure or line is None or filed is None or not line.applied:
            continue
        if not same(setting.kind, filed, setting.setting) and _plain(filed) != _plain(setting.setting):
            found.append(
                InputError(
                    f"{line.place} says {setting.name} = {line.shown}, which nobody has reloaded yet: our reload would "
                    "put it into force, and our way back does not know it. Have it reloaded, or taken out, first."
                )
            )
    return found


def _plain(words: str) -> str:
    """Return a list of words as the server may have written it otherwise: `iso, mdy` is `ISO, MDY`."""
    return re.sub(r"[\s\"']", "", words).casefold()


def _of_a_restart(
    ports: TuningPorts, settings: Settings, request: TuningRequest, changes: Sequence[Change], seen: Seen
) -> list[TdevError]:
    found: list[TdevError] = []
    if not settings.tuning.database_service or ports.host is None:
        found.append(
            InputError(
                "Nobody here can restart the server: set tuning.database_service, tuning.data_directory and "
                "recovery.database_host, or do by hand what the dry run prints."
            )
        )
    planned = {change.name.lower(): change for change in changes}
    for name, setting in seen.running.items():
        if not setting.pending_restart or not setting.needs_restart:
            continue
        waits = next(iter(reversed(seen.lines_of(name))), None)
        own = planned.get(name)
        if own is None or waits is None or not same_words(name, waits.setting, own.value):
            value = waits.shown if waits else "its default"
            found.append(
                InputError(
                    f"{setting.name} = {value} waits in the files for a restart too, and would count with it; take it "
                    "out of there or recommend it, so that the way back leads to what runs."
                )
            )
    try:
        refuse_closed_window(settings, request, ports.clock())
        memory.refuse(memory_objections(ports, settings, _in_base(changes, seen), seen))
    except TdevError as error:
        found.append(error)
    return found


def _of_standbys(
    ports: TuningPorts, settings: Settings, changes: Sequence[Change], seen: Seen, standbys: Sequence[str]
) -> list[TdevError]:
    """A raised limit goes to the standbys first, or they stop."""
    wanted = _in_base(changes, seen)
    raised = {
        name: int(value)
        for name, value in wanted.items()
        if name in STANDBYS_FIRST and int(value) > int(seen.running[name].setting)
    }
    if not raised:
        return []
    listed = settings.tuning.standby_connections
    if len(standbys) > len(listed):
        return [
            InputError(
                f"{', '.join(standbys)} follow this server and tuning.standby_connections lists {len(listed)}; "
                f"{', '.join(raised)} must be raised on every standby first, so list them all."
            )
        ]
    found: list[TdevError] = []
    for connection in listed:
        try:
            with ports.care.server(connection).session() as session:
                there = look(session).running
        except TdevError as error:
            found.append(error)
            continue
        for name, value in raised.items():
            if int(there[name].setting) < value:
                found.append(
                    InputError(
                        f"The standby {connection} has {name} = {there[name].setting}; raise it to {value} there and "
                        "restart it first, or it stops following."
                    )
                )
    return found


def _in_base(changes: Sequence[Change], seen: Seen) -> dict[str, str]:
    """Return what the changes come to, in base units by lower-case name; one taken out counts as built in."""
    values = {}
    for change in changes:
        setting = seen.running[change.name.lower()]
        values[change.name.lower()] = (
            setting.boot if change.value is None else in_base_units(setting.kind, change.value)
        )
    return values
