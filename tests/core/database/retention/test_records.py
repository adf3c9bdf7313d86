"""Our own records go with age, and never what something compares with."""

from datetime import timedelta

import pytest

from tdev_operators.core.database.retention.records import drop_old_records, kept_days
from tdev_operators.core.ledger import DroppedSamples, Sample
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.ledger import PostgresLedger
from tdev_operators.hooks.ledger_schema import migrate
from tests.records import NOON, facts_of


def settings_of(changed, days, history=120, baseline=14):
    return changed(
        retention={"maintenance_records_days": days},
        capacity={"history_days": history},
        performance={"baseline_days": baseline},
    )


@pytest.mark.parametrize(
    ("days", "history", "baseline", "kept"),
    [(400, 120, 14, 400), (400, 500, 14, 507), (30, 60, 90, 127), (30, 60, 14, 127), (30, 200, 14, 207)],
)
def test_what_is_compared_with_stays_longer(changed, days, history, baseline, kept):
    assert kept_days(settings_of(changed, days, history, baseline)) == kept


def test_the_oldest_go_and_capacitys_history_stays_whole(changed, database):
    facts = facts_of(database)
    migrate(facts)
    ledger, settings = PostgresLedger(facts), settings_of(changed, 30, history=200)
    system = settings.system.name
    for age in range(0, 300, 10):
        ledger.keep_sample(system, "sizes", Sample(NOON - timedelta(days=age), {"age": age}))
    told = drop_old_records(ledger, settings, NOON, dry_run=True)
    assert told.summary.startswith(
        "9 samples older than 207 days (not 30: younger ones are compared with) would be dropped from the ledger ("
    )
    assert drop_old_records(ledger, settings, NOON).measurements[0].value == 9
    left = ledger.samples(system, "sizes", NOON - timedelta(days=1000))
    assert [sample.facts["age"] for sample in left] == list(range(200, -10, -10))
    assert drop_old_records(ledger, settings, NOON).summary.startswith("0 samples older than 207 days")


def test_without_the_ledger_it_is_unknown(changed):
    class Down:
        def drop_samples(self, *_, **__) -> DroppedSamples | None:
            return None

    result = drop_old_records(Down(), settings_of(changed, 400), NOON)
    assert result.verdict is Verdict.UNKNOWN
    assert "the ledger's database is down" in result.summary
