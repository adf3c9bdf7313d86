"""infrastructure.object_store."""

from tdev_operators.core.errors import AccessDeniedError, TargetUnreachableError
from tdev_operators.core.health.infrastructure import object_store
from tdev_operators.core.verdicts import Verdict

NAMES = ("t-developer-agents", "t-developer-checkpoints", "t-developer-backups")


def test_all_buckets_listed(ports, shipped, fakes):
    store = fakes.Objects({name: {} for name in NAMES})
    assert object_store.check(ports(objects=store), shipped).verdict is Verdict.OK


def test_a_missing_bucket_is_critical(ports, shipped, fakes):
    store = fakes.Objects({name: {} for name in NAMES[:2]})
    result = object_store.check(ports(objects=store), shipped)
    assert result.verdict is Verdict.CRITICAL
    assert "t-developer-backups cannot be listed" in result.summary


def test_keys_that_are_refused_are_unknown(ports, shipped, fakes):
    store = fakes.Objects(error=AccessDeniedError("It refused our credentials."))
    assert object_store.check(ports(objects=store), shipped).verdict is Verdict.UNKNOWN


def test_a_dead_store_is_critical(ports, shipped, fakes):
    store = fakes.Objects(error=TargetUnreachableError("Nothing answers."))
    assert object_store.check(ports(objects=store), shipped).verdict is Verdict.CRITICAL
