"""The weekly look (guide: Performance Tuning): triangle, files, pools, application, and the last change's effect."""

from collections.abc import Callable, Mapping
from typing import Any

from tdev_operators.core.database.alone import alone
from tdev_operators.core.database.tuning import application, effect, pools, sampling, told
from tdev_operators.core.database.tuning.ports import TuningPorts
from tdev_operators.core.database.tuning.preflight import memory_objections
from tdev_operators.core.database.tuning.reading import Seen, look
from tdev_operators.core.database.tuning.triangle import Row, State, rows_of
from tdev_operators.core.errors import TdevError
from tdev_operators.core.items import ItemOutcome
from tdev_operators.core.ledger import ItemStore
from tdev_operators.core.scope import in_scope
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Coverage, Verdict

JOB = "tuning"


def compare(
    ports: TuningPorts, settings: Settings, ledger: ItemStore, *, progress: Callable[[str], None] = lambda _line: None
) -> ItemOutcome:
    """Compare what is recommended with what is; change nothing. A sample is kept, so that a later change has a before.

    A part that cannot be looked at is UNKNOWN and the others are looked at all the same.

    Raises:
        BusyError: another run is at work. InputError: the server is a standby.
    """
    started_at = ports.clock()
    configuration: dict[str, Any] | TdevError
    try:
        configuration = application.configuration(ports.application, settings.tuning)
    except TdevError as error:
        configuration = error
    with alone(ports.care.database, JOB) as session:
        seen = look(session)
    rows = rows_of(settings.tuning.database, seen)
    results = [
        _of_database(ports, settings, rows, seen),
        told.file_result(rows, seen, managed=settings.tuning.managed),
        _of_pools(settings, rows, seen, configuration),
        _of_application(settings, configuration),
        effect_of_last_change(ports, settings, ledger),
    ]
    for result in results:
        progress(f"{result.check}: {result.verdict}: {result.summary}")
    counted, out_of_scope = in_scope(results, settings)
    return ItemOutcome(counted, started_at, ports.clock(), out_of_scope)


def effect_of_last_change(ports: TuningPorts, settings: Settings, ledger: ItemStore) -> CheckResult:
    """Take a sample, keep it, and hold it against the newest change's day before; UNKNOWN when nobody can look."""
    try:
        now = sampling.take(ports, settings)
        samples = ledger.samples(settings.system.name, effect.SAMPLES, now.taken_at - effect.LOOK_BACK)
        ledger.keep_sample(settings.system.name, effect.SAMPLES, now)
        return effect.judge(samples, now, effect_hours=settings.tuning.effect_hours)
    except TdevError as error:
        return effect_unknown(error)


def effect_unknown(error: TdevError) -> CheckResult:
    """Return that nobody can look at the effect, and why."""
    return _unknown(effect.CHECK, "Nobody knows how the system does.", error)


def _of_database(ports: TuningPorts, settings: Settings, rows: list[Row], seen: Seen) -> CheckResult:
    wanted = {row.name.lower(): row.recommended for row in rows if row.state is not State.REFUSED}
    objections, unknown = [], ""
    owner = told.owner_of(settings.tuning.managed, seen)
    try:
        # Where nobody may run commands on the host, its owner keeps the server from what it cannot bear.
        objections = [] if owner and ports.host is None else memory_objections(ports, settings, wanted, seen)
    except TdevError as error:
        unknown = str(error)
    return told.database_result(
        rows, seen, managed=settings.tuning.managed, objections=objections, memory_unknown=unknown
    )


def _of_pools(
    settings: Settings, rows: list[Row], seen: Seen, configuration: Mapping[str, Any] | TdevError
) -> CheckResult:
    rules = settings.tuning
    asked = not isinstance(configuration, TdevError)
    values: Mapping[str, Any] = {**rules.application, **({} if isinstance(configuration, TdevError) else configuration)}
    clients, pool = pools.figure(values, "max_connections"), pools.figure(values, "connection_pool_size")
    if clients is None or pool is None:
        reason = "neither the application nor [tuning.application] tells max_connections and connection_pool_size"
        summary = f"Nobody knows whether the application's connections fit into the database: {reason}."
        return CheckResult(pools.CHECK, Verdict.UNKNOWN, summary, coverage=Coverage(skipped={"pools": reason}))
    reserved = sum(
        int(seen.running[name].setting)
        for name in ("superuser_reserved_connections", "reserved_connections")
        if name in seen.running
    )
    recommended = next((int(row.recommended) for row in rows if _is_limit(row)), None)
    found = pools.Pools(
        clients=clients,
        pool=pool,
        instances=rules.application_instances,
        others=rules.other_connections,
        reserved=reserved,
        database=int(seen.running["max_connections"].setting),
    )
    return pools.judge(found, asked=asked, recommended=recommended)


def _is_limit(row: Row) -> bool:
    return row.name.lower() == "max_connections" and row.state is not State.REFUSED


def _of_application(settings: Settings, configuration: Mapping[str, Any] | TdevError) -> CheckResult:
    if isinstance(configuration, TdevError):
        return _unknown(application.CHECK, "The application's configuration is not known.", configuration)
    return application.judge(configuration, settings.tuning)


def _unknown(check: str, summary: str, error: TdevError) -> CheckResult:
    reason = str(error).rstrip(".")
    said = f"{summary.rstrip('.')}: {reason}."
    return CheckResult(check, Verdict.UNKNOWN, said, coverage=Coverage(skipped={"the look": reason}))
