"""A ledger with a past, a real store, and a profile of any controls."""

from datetime import UTC, datetime, timedelta

import pytest

from tdev_operators.core.compliance.audit import audit
from tdev_operators.core.compliance.ground import Ground
from tdev_operators.core.compliance.profile import Control
from tdev_operators.core.items import ItemRef
from tdev_operators.core.settings import load_settings
from tdev_operators.core.sql import include_dir
from tdev_operators.hooks.compliance_records import LedgerRecords
from tdev_operators.hooks.ledger import PostgresLedger
from tdev_operators.hooks.ledger_schema import migrate
from tests.backup_sets import open_store
from tests.records import facts_of, outcome

AT = datetime(2026, 12, 2, 9, tzinfo=UTC)
DAY = timedelta(days=1)
REF = ItemRef("monthly", "tdev_monthly", "scheduled__2026-12-02T09:00:00+00:00", "compliance_audit")


def control(rule, *checks, days=2, **more):
    return Control(id="c", title="A control", rule=rule, checks=checks, days=days, **more)


class Past:
    """What was, and what an audit makes of it."""

    def __init__(self, facts, store, bucket):
        migrate(facts)
        self.facts, self.store = facts, store
        shipped = load_settings(include_dir() / "tdev.toml")
        buckets = shipped.buckets.model_copy(update={"backups": bucket})
        self.settings = shipped.model_copy(update={"buckets": buckets})
        self.ledger = PostgresLedger(facts)
        self.at = AT

    @property
    def records(self):
        return LedgerRecords(self.facts, self.settings.system.name)

    @property
    def ground(self):
        return Ground(self.records, self.store, self.settings, self.at)

    def ran(self, item, *results, at=AT - DAY, tier="daily", run_id=""):
        ref = ItemRef(tier, f"tdev_{tier}", run_id or f"scheduled__{at.isoformat()}", item)
        self.ledger.open_item(ref, at - timedelta(seconds=3))
        self.ledger.close_item(ref, outcome(*results, ended_at=at))
        return ref

    def profile(self, tmp_path, monkeypatch, text):
        """Let the settings name a profile of this text."""
        (tmp_path / "controls.toml").write_text(text, encoding="utf-8")
        monkeypatch.setenv("TDEV_SETTINGS", str(tmp_path / "tdev.toml"))
        compliance = self.settings.compliance.model_copy(update={"profile": "controls.toml"})
        self.settings = self.settings.model_copy(update={"compliance": compliance})

    def audit(self, run_id=REF.run_id):
        ref = ItemRef(REF.tier, REF.dag_id, run_id, REF.item)
        self.ledger.open_item(ref, self.at)
        return audit(self.ground, run_id, lambda event, facts: self.ledger.journal(ref, event, facts))


@pytest.fixture
def past(database, s3_server, bucket):
    with open_store(s3_server.endpoint_url, s3_server.access_key, s3_server.secret_key) as store:
        yield Past(facts_of(database), store, bucket)
