"""Object Lock: bytes that a new set refers to stay locked on, as if it had written them itself.

The bucket's default retention locks what is written, once, from its writing on. A set that refers to it a month later
would stand on bytes that whoever holds the key may destroy. So the lock of all that PROVEN sets go on referring to is
extended in rotation: each object once within half the retention, so that half of it is always left.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from tdev_operators.core.backup.manifest import Manifest
from tdev_operators.core.backup.ports import BackupStore, LockRule
from tdev_operators.core.backup.set_ids import root_of
from tdev_operators.core.backup.set_records import SetOnDisk
from tdev_operators.core.backup.sweep import References
from tdev_operators.core.errors import TdevError
from tdev_operators.core.reporting.wording import counted
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict

CHECK = "backup.locks"
_HINT = (
    "Grant s3:GetObjectRetention and s3:PutObjectRetention on the backups bucket; locks are extended at the next proof."
)


@dataclass(frozen=True, slots=True)
class Turn:
    """Which objects have their lock extended this time: those whose day of the rotation came since the last time."""

    period_days: int
    days: frozenset[int]

    @classmethod
    def since(cls, last: datetime | None, now: datetime, rule: LockRule) -> "Turn":
        """Return the turn of a proof at `now` when the last one was at `last`; None: everything is due."""
        period = max(1, rule.days // 2)
        passed = period if last is None else min(period, max(0, now.toordinal() - last.toordinal()))
        return cls(period, frozenset((now.toordinal() - back) % period for back in range(passed)))

    def takes(self, key: str) -> bool:
        """Whether it is an object's turn."""
        digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.period_days in self.days


def extend_locks(
    store: BackupStore, bucket: str, proven: SetOnDisk, last: datetime | None, now: datetime, references: References
) -> CheckResult | None:
    """Extend the locks of what a proven set refers to; `last` is when that was done before. None without Object Lock.

    What cannot be extended is a WARNING: the set is as good as before, and the guard against destruction is thinner.
    """
    coverage = Coverage(seen=(bucket,))
    try:
        rule = store.lock_rule(bucket)
        if rule is None or proven.manifest is None:
            return None
        turn = Turn.since(last, now, rule)
        keys = _referenced(proven, proven.manifest, root_of(proven.manifest.system), turn, references)
        extended = store.extend_locks(bucket, keys, rule.mode, now + timedelta(days=rule.days))
    except TdevError as error:
        summary = f"The locks of what {proven.set_id} refers to were not extended: {error}"
        return CheckResult(CHECK, Verdict.WARNING, summary, hint=_HINT, coverage=coverage)
    measured = (Measurement("locks extended", extended), Measurement("retention of a lock", rule.days, "d"))
    summary = f"The locks of {counted(extended, 'object')} that older sets wrote were extended by {rule.days} days."
    return CheckResult(CHECK, Verdict.OK, summary, measured, coverage=coverage)


def _referenced(proven: SetOnDisk, manifest: Manifest, root: str, turn: Turn, references: References) -> Iterator[str]:
    """Yield the keys whose turn it is; of those in a row that stand in one pack, its key once."""
    for snapshot in manifest.buckets:
        if snapshot.referenced_sets:
            yield from _once(
                f"{root}{set_id}/{at}"
                for set_id, at in references(proven, snapshot)
                if set_id != proven.set_id
                if turn.takes(f"{set_id}/{at}")
            )


def _once(keys: Iterable[str]) -> Iterator[str]:
    """Leave out what came before. Only keys of packs come again, and one pack holds thousands of objects."""
    seen = set[str]()
    for key in keys:
        if "/packs/" not in key:
            yield key
        elif key not in seen:
            seen.add(key)
            yield key
