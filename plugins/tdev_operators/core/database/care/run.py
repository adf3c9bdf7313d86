"""Thursday's care of the database, from the sweep to the advice (guide: Database Optimization)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.database.alone import alone
from tdev_operators.core.database.care import horizon
from tdev_operators.core.database.care.advice import Unused, advise
from tdev_operators.core.database.care.budget import Budget
from tdev_operators.core.database.care.disk import Disk
from tdev_operators.core.database.care.indexes import Index, IndexSurvey, analysis_of, survey_indexes
from tdev_operators.core.database.care.leftovers import Sweeping, Swept, invalid_indexes
from tdev_operators.core.database.care.measure import Instruments
from tdev_operators.core.database.care.needs import Work, plan
from tdev_operators.core.database.care.rebuild import IndexDone, IndexFate, Rebuilding, care_for_indexes
from tdev_operators.core.database.care.tables import Done, Fate, Survey, care_for, survey
from tdev_operators.core.database.care.told import dry_run_result, indexes_result, leftovers_result, tables_result
from tdev_operators.core.database.parameters import put
from tdev_operators.core.database.ports import CarePorts
from tdev_operators.core.items import ItemOutcome, ItemRef
from tdev_operators.core.ledger import ItemStore, Sample
from tdev_operators.core.scope import in_scope
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import CheckResult

JOB = "care"
POSTPONED = "care_postponed"  # the kind of sample that remembers what did not fit
REBUILT = "care_rebuilt"  # and of what was rebuilt in which run
UNUSED = "care_unused"  # and of the indexes that nobody had used so far
# Tables must leave this share of the time to the indexes.
_FOR_TABLES = 2 / 3
REMEMBERED = timedelta(days=120)
_LOOK_TIMEOUT, _LOOK_LOCK_TIMEOUT = "5min", "10s"


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
    counted, out_of_scope = in_scope(results, settings)
    return ItemOutcome(counted, started_at, ports.clock(), out_of_scope)


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
        self.whole = Budget(self.limits.minutes * 60)
        # The looks, which are many and short, wait for nobody.
        put(session, {"statement_timeout": _LOOK_TIMEOUT, "lock_timeout": _LOOK_LOCK_TIMEOUT})
        [self.state] = session.rows(load_sql("health/server_state"))
        self.tool = f"PostgreSQL {self.state['version']}"
        self.sweeping = Sweeping(
            database=ports.database,
            budget=self.whole,
            lock_seconds=self.limits.indexes.lock_wait_minutes * 60,
            yield_seconds=self.limits.yield_seconds,
            journal=partial(ledger.journal, ref),
            check=check,
            progress=progress,
        )

    def work(self) -> list[CheckResult]:
        """Do it."""
        before = self.sweeping.sweep()
        found, works = self._tables()
        self.progress(f"{len(works)} of {found.looked_at} tables need care")
        done = self._cared_for(works, Budget(self.whole.left * _FOR_TABLES))
        self.check()
        seen, indexes = self._indexes({one.work.table.oid for one in done if one.fate is Fate.DONE})
        after = self.sweeping.sweep()  # what a rebuild could not drop behind itself, it may be able to now
        held = horizon.holders(self.session)
        self._remember(done, indexes)
        watched = bool(self.settings.recovery.database_host)
        return [
            tables_result(found, done, held, self._gaps(found), self.tool),
            indexes_result(seen.looked_at, indexes, found.role, self.tool, disk_watched=watched),
            leftovers_result(replace(after, dropped=(*before.dropped, *after.dropped)), self.tool),
            self._horizon(held),
            *self._advice(),
        ]

    def dry_run(self) -> list[CheckResult]:
        """Only look."""
        _, works = self._tables()
        swept = Swept(kept=tuple(invalid_indexes(self.session)))
        _, indexes = self._indexes(set(), dry_run=True)
        held = horizon.holders(self.session)
        return [dry_run_result(works, swept, indexes, self.tool), self._horizon(held), *self._advice()]

    def _cared_for(self, works: Sequence[Work], budget: Budget) -> list[Done]:
        return care_for(self.ports.database, works, self.limits, budget, check=self.check, progress=self.progress)

    def _tables(self) -> tuple[Survey, list[Work]]:
        found = survey(self.session, self.limits)
        hours = float(self.state["statistics_hours"] or 0)
        remembered = self._remembered()
        return found, plan(
            found.tables, self.limits, hours, remembered.get("tables", ()), remembered.get("too_long", ())
        )

    def _gaps(self, found: Survey) -> dict[str, str]:
        """Return why the server's counters cannot tell what needs care."""
        hours, needed = self.state["statistics_hours"], self.settings.health.database.minimum_statistics_age_hours
        if not found.tracks_counts:
            return {"changes": "track_counts is off, so that nobody counts what dies or changes"}
        if hours is None or hours < needed:
            return {
                "changes before that": f"the counters were reset {hours or 0:.1f} h ago, {needed:g} h are asked for"
            }
        return {}

    def _horizon(self, held: Sequence[horizon.Holder]) -> CheckResult:
        sees_all = bool(self.state["sees_all_sessions"])
        return horizon.horizon_result(held, self.limits.old_horizon_transactions, self.tool, sees_all=sees_all)

    def _indexes(self, fresh: set[int], *, dry_run: bool = False) -> tuple[IndexSurvey, list[IndexDone]]:
        """Care for the indexes; `fresh` are the oids of the tables that were analyzed just now."""
        limits = self.limits.indexes
        seen = survey_indexes(self.session, limits)
        stale = {index.table_oid: index for index in seen.suspects if index.may and index.table_oid not in fresh}
        if stale and not dry_run:
            # An estimate on old statistics is none. TOAST has none, and its VACUUM counts its entries.
            works = [analysis_of(index) for index in stale.values() if not index.is_toast]
            self._cared_for(works, self.whole)
            seen = survey_indexes(self.session, limits)
        waiting = {name: place for place, name in enumerate(self._remembered().get("indexes", ()))}
        past = self._past_rebuilds()
        suspects = sorted(
            (index for index in seen.suspects if not self._is_as_small_as_it_gets(index, past.get(index.name))),
            key=lambda index: waiting.get(index.name, len(waiting)),
        )
        job = Rebuilding(
            database=self.ports.database,
            limits=self.limits,
            instruments=Instruments.of(self.session),
            budget=self.whole,
            disk=Disk.of(self.ports.system.hosts, self.settings.recovery.database_host, self.session),
            sweeping=self.sweeping,
            note=self._note,
            check=self.check,
            progress=self.progress,
            dry_run=dry_run,
        )
        return seen, care_for_indexes(job, suspects)

    def _is_as_small_as_it_gets(self, index: Index, past: Mapping[str, Any] | None) -> bool:
        """Whether the last rebuild, in this run's last attempt or weeks ago, says that another one is for nothing."""
        if past is None:
            return False
        if past["run"] == self._run:
            return True
        gained = 100 * (1 - past["after"] / max(past["before"], 1))
        grown = 100 * (index.bytes / max(past["after"], 1) - 1)
        least = self.limits.indexes.least_gain_percent
        return bool(gained < least and grown < least)

    def _advice(self) -> list[CheckResult]:
        limits = self.limits.indexes
        known = self.ledger.samples(self.settings.system.name, UNUSED, self.ports.clock() - REMEMBERED)
        asked = Unused(limits.standbys, self.ports.server, limits.unused_days, known, self.ports.clock())
        results, unused = advise(self.session, asked, self.tool)
        if unused is not None:
            self._keep(UNUSED, {"oids": sorted(unused)})
        return results

    @property
    def _run(self) -> str:
        return f"{self.ref.dag_id} {self.ref.run_id}"

    def _keep(self, kind: str, facts: dict[str, Any]) -> None:
        self.ledger.keep_sample(self.settings.system.name, kind, Sample(self.ports.clock(), facts))

    def _note(self, one: IndexDone) -> None:
        self._keep(
            REBUILT, {"run": self._run, "index": one.index.name, "before": one.index.bytes, "after": one.new_bytes}
        )

    def _past_rebuilds(self) -> dict[str, Mapping[str, Any]]:
        """Return each index's last rebuild that the ledger remembers."""
        since = self.ports.clock() - REMEMBERED
        found = self.ledger.samples(self.settings.system.name, REBUILT, since) or ()
        return {sample.facts["index"]: sample.facts for sample in found}

    def _remembered(self) -> Mapping[str, Sequence[str]]:
        since = self.ports.clock() - REMEMBERED
        found = self.ledger.samples(self.settings.system.name, POSTPONED, since, at_most=1)
        return found[-1].facts if found else {}

    def _remember(self, done: Sequence[Done], indexes: Sequence[IndexDone]) -> None:
        def names(*fates: Fate) -> list[str]:
            return [one.work.table.name for one in done if one.fate in fates]

        self._keep(
            POSTPONED,
            {
                "tables": names(Fate.LOCKED, Fate.NO_TIME),
                "too_long": names(Fate.TOO_LONG),
                "indexes": [one.index.name for one in indexes if one.fate is IndexFate.POSTPONED],
            },
        )
