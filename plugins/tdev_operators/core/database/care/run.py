"""Thursday's care of the database, from the sweep to the advice (guide: Database Optimization)."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.database.alone import alone
from tdev_operators.core.database.care.advice import advise
from tdev_operators.core.database.care.budget import Budget
from tdev_operators.core.database.care.disk import free_disk
from tdev_operators.core.database.care.horizon import holders, horizon_result
from tdev_operators.core.database.care.indexes import IndexSurvey, survey_indexes
from tdev_operators.core.database.care.leftovers import Swept, invalid_indexes, sweep
from tdev_operators.core.database.care.measure import Instruments
from tdev_operators.core.database.care.needs import Work, plan
from tdev_operators.core.database.care.rebuild import IndexDone, IndexFate, Rebuilding, care_for_indexes
from tdev_operators.core.database.care.tables import Fate, Survey, care_for, survey
from tdev_operators.core.database.care.told import dry_run_result, indexes_result, leftovers_result, tables_result
from tdev_operators.core.database.ports import CarePorts
from tdev_operators.core.items import ItemOutcome, ItemRef
from tdev_operators.core.ledger import ItemStore, Sample
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import CheckResult

JOB = "care"
POSTPONED = "care_postponed"  # the kind of sample that remembers what did not fit
REBUILT = "care_rebuilt"  # and of what was rebuilt in which run
# Tables must leave this share of the time to the indexes.
_FOR_TABLES = 2 / 3
_REMEMBERED = timedelta(days=60)


def care_for_database(
    ports: CarePorts,
    settings: Settings,
    ledger: ItemStore,
    ref: ItemRef,
    *,
    check: Callable[[], None],
    progress: Callable[[str], object],
    dry_run: bool = False,
) -> ItemOutcome:
    """Sweep, vacuum, analyze, rebuild and advise; return what was found and done.

    A retry finds what was done by its effect: what was vacuumed needs nothing, and what was rebuilt in the same run is
    not rebuilt again. `dry_run` changes nothing and says every statement.

    Raises:
        BusyError: another run is at work, or the item is no longer ours. InputError: the server is a standby.
        TargetUnreachableError: the server went away. AccessDeniedError, TargetTimeoutError.
    """
    started_at = ports.clock()
    with alone(ports.database, JOB) as session:
        care = _Care(ports, settings, ledger, ref, session, check, progress)
        results = care.dry_run() if dry_run else care.work()
    return ItemOutcome(tuple(results), started_at, ports.clock())


class _Care:
    """One run."""

    def __init__(
        self,
        ports: CarePorts,
        settings: Settings,
        ledger: ItemStore,
        ref: ItemRef,
        session: Session,
        check: Callable[[], None],
        progress: Callable[[str], object],
    ) -> None:
        self.ports, self.settings, self.ledger, self.ref, self.session = ports, settings, ledger, ref, session
        self.limits, self.check, self.progress = settings.care, check, progress
        [self.state] = session.rows(load_sql("health/server_state"))
        self.tool = f"PostgreSQL {self.state['version']}"
        self.role = str(session.rows("-- one row: who we are\nSELECT current_user AS name")[0]["name"])
        self.whole = Budget(self.limits.minutes * 60)

    def work(self) -> list[CheckResult]:
        """Do it."""
        swept = sweep(self.ports.database, partial(self.ledger.journal, self.ref), self.progress)
        found, works = self._tables()
        self.progress(f"{len(works)} of {found.looked_at} tables need care")
        budget = Budget(self.whole.left * _FOR_TABLES)
        done = care_for(self.ports.database, works, self.limits, budget, check=self.check, progress=self.progress)
        self.check()
        seen, indexes = self._indexes()
        held = holders(self.session)
        self._remember(
            [one.work.table.name for one in done if one.fate in (Fate.LOCKED, Fate.OUT_OF_TIME)],
            [one.index.name for one in indexes if one.fate is IndexFate.POSTPONED],
        )
        watched = bool(self.settings.recovery.database_host)
        return [
            tables_result(found, done, held, self.role, self.tool),
            indexes_result(seen.looked_at, indexes, self.role, self.tool, disk_watched=watched),
            leftovers_result(swept, self.tool),
            horizon_result(held, self.limits.old_horizon_transactions, self.tool),
            *self._advice(),
        ]

    def dry_run(self) -> list[CheckResult]:
        """Only look."""
        _, works = self._tables()
        swept = Swept(kept=tuple(invalid_indexes(self.session)))
        _, indexes = self._indexes(dry_run=True)
        held = holders(self.session)
        return [
            dry_run_result(works, swept, indexes, self.tool),
            horizon_result(held, self.limits.old_horizon_transactions, self.tool),
            *self._advice(),
        ]

    def _tables(self) -> tuple[Survey, list[Work]]:
        found = survey(self.session, self.limits)
        hours = float(self.state["statistics_hours"] or 0)
        return found, plan(found.tables, self.limits, hours, self._postponed("tables"))

    def _indexes(self, *, dry_run: bool = False) -> tuple[IndexSurvey, list[IndexDone]]:
        limits = self.limits.indexes
        seen = survey_indexes(self.session, limits)
        if seen.suspects and not dry_run:
            # An estimate on old statistics is none.
            for statement in {index.table_oid: index.analyze for index in seen.suspects if index.may}.values():
                self.session.rows(statement)
            seen = survey_indexes(self.session, limits)
        waiting = {name: place for place, name in enumerate(self._postponed("indexes"))}
        rebuilt = self._rebuilt_before()
        suspects = sorted(
            (index for index in seen.suspects if index.name not in rebuilt),
            key=lambda index: waiting.get(index.name, len(waiting)),
        )
        job = Rebuilding(
            database=self.ports.database,
            limits=limits,
            instruments=Instruments.of(self.session),
            budget=self.whole,
            free_bytes=free_disk(self.ports.system.hosts, self.settings.recovery.database_host, self.session),
            journal=partial(self.ledger.journal, self.ref),
            note=self._note,
            check=self.check,
            progress=self.progress,
            dry_run=dry_run,
        )
        return seen, care_for_indexes(job, suspects)

    def _advice(self) -> list[CheckResult]:
        limits = self.limits.indexes
        standbys = [self.ports.server(name) for name in limits.standbys]
        return advise(self.session, standbys, limits.unused_days, self.tool)

    @property
    def _run(self) -> str:
        return f"{self.ref.dag_id} {self.ref.run_id}"

    def _note(self, one: IndexDone) -> None:
        facts = {"run": self._run, "index": one.index.name, "before": one.index.bytes, "after": one.new_bytes}
        self.ledger.keep_sample(self.settings.system.name, REBUILT, Sample(self.ports.clock(), facts))

    def _rebuilt_before(self) -> set[str]:
        """Return what an earlier attempt of this run rebuilt: without an instrument, no effect tells."""
        since = self.ports.clock() - _REMEMBERED
        found = self.ledger.samples(self.settings.system.name, REBUILT, since) or ()
        return {sample.facts["index"] for sample in found if sample.facts["run"] == self._run}

    def _postponed(self, what: str) -> Sequence[str]:
        since = self.ports.clock() - _REMEMBERED
        found = self.ledger.samples(self.settings.system.name, POSTPONED, since, at_most=1)
        return found[-1].facts[what] if found else ()

    def _remember(self, tables: list[str], indexes: list[str]) -> None:
        facts = {"tables": tables, "indexes": indexes}
        self.ledger.keep_sample(self.settings.system.name, POSTPONED, Sample(self.ports.clock(), facts))
