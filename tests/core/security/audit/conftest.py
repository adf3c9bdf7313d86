"""A system to audit: hosts of lines, a real database, and a ledger that remembers."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from tdev_operators.core.ledger import Sample
from tdev_operators.core.ports import BucketExposure
from tdev_operators.core.security.audit.looking import AuditPorts, BucketHouse
from tdev_operators.core.settings import load_settings
from tdev_operators.core.sql import include_dir
from tdev_operators.hooks.hosts.local import LocalHost

TUESDAY = datetime(2026, 12, 1, 4, tzinfo=UTC)
PRIVATE = BucketExposure(403, 403, policy_is_public=False, acl_grants_public=False, public_access_blocked=True)
GUARDED = BucketHouse(versioning=True, encryption="AES256", transport=True, policy=["deny"], lifecycle=["keep"])


class Memory:
    """The part of a ledger that keeps samples."""

    def __init__(self):
        self.kept, self.away = {}, False

    def keep_sample(self, system, kind, sample):
        self.kept.setdefault((system, kind), {})[sample.taken_at] = sample

    def samples(self, system, kind, since, at_most=None):
        if self.away:
            return None
        found = [one for at, one in sorted(self.kept.get((system, kind), {}).items()) if at >= since]
        return found[-at_most:] if at_most else found

    def remember(self, kind, at, *facts):
        self.keep_sample("t-developer", kind, Sample(at, {"facts": list(facts)}))


class Place:
    """Everything that an audit asks, each part to be replaced."""

    def __init__(self):
        self.settings = load_settings(include_dir() / "tdev.toml")
        self.memory = Memory()
        self.host = LocalHost("edge")
        self.exposure, self.house = PRIVATE, GUARDED
        self.database = self.airflow = self.store = None

    def audit_settings(self, **values):
        audit = self.settings.security.audit.model_copy(update=values)
        security = self.settings.security.model_copy(update={"audit": audit})
        self.settings = self.settings.model_copy(update={"security": security})

    @property
    def ports(self):
        def exposure(_):
            if isinstance(self.exposure, Exception):
                raise self.exposure
            return self.exposure

        system = SimpleNamespace(
            hosts={self.host.name: self.host}, objects=SimpleNamespace(exposure=exposure), clock=lambda: TUESDAY
        )
        buckets = SimpleNamespace(house=lambda _: self.house)
        return AuditPorts(system, self.database, buckets, self.airflow, self.store)


@pytest.fixture
def place():
    return Place()
