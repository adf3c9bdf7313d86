"""Which unchanged objects are read again at a backup, and whether their bytes are still what they were.

All are read within `reverify_days`: each time as many as the days since the last backup ask for, at least
`sample_percent`, those first whose bytes were read longest ago. Neighbours stand in one pack, so that one request reads
many. They are also compared with the live object, for a store that keeps an ETag and changes the content: small ones
whole, large ones by their first and last 64 KiB. Sealed ones are only compared where the identity is.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from tdev_operators.core.backup.buckets.index import Entry
from tdev_operators.core.backup.buckets.report import Tally
from tdev_operators.core.backup.buckets.stored import Place, Span, Sums, ends, spans, wrong_with
from tdev_operators.core.backup.cipher import Cipher
from tdev_operators.core.backup.ports import BackupStore
from tdev_operators.core.backup.settings import BackupSettings
from tdev_operators.core.errors import AccessDeniedError, GarbledAnswerError, InputError, TdevError
from tdev_operators.core.ports import ObjectInfo
from tdev_operators.core.verdicts import Verdict


class Ages:
    """How many entries were last verified when, in days: what the plan needs to know of a previous index."""

    def __init__(self, now: datetime) -> None:
        """`now` tells which dates lie in the future: such an entry counts as the oldest of all."""
        self._now = now
        self._ranks: Counter[int] = Counter()

    def rank(self, entry: Entry) -> int:
        """Return a number that orders entries by urgency, lowest first: by the day when they were last verified."""
        return 0 if entry.verified_at > self._now else entry.verified_at.toordinal()

    def add(self, entry: Entry) -> None:
        """Count an entry."""
        self._ranks[self.rank(entry)] += 1

    def plan(self, last_backup: datetime, settings: BackupSettings) -> "Rotation":
        """Return the plan for this time."""
        total = self._ranks.total()
        days = min(max((self._now - last_backup) / timedelta(days=1), 0.0), float(settings.reverify_days))
        # What would be too old before tomorrow's backup is read today, whatever the quota says.
        deadline = (self._now - timedelta(days=settings.reverify_days - 1)).toordinal()
        overdue = sum(count for rank, count in self._ranks.items() if rank <= deadline)
        quota = max(
            math.ceil(total * settings.sample_percent / 100),
            math.ceil(total * days / settings.reverify_days),
            overdue,
        )
        left = min(quota, total)
        for rank, count in sorted(self._ranks.items()):
            if count >= left:
                return Rotation(self, cutoff=rank, at_cutoff=left)
            left -= count
        return Rotation(self, cutoff=-1, at_cutoff=0)


class Rotation:
    """Says of unchanged entries, in key order, whether they are read again this time."""

    def __init__(self, ages: Ages, *, cutoff: int, at_cutoff: int) -> None:
        """All below the rank `cutoff` are due, and the first `at_cutoff` of those that have it."""
        self._ages = ages
        self._cutoff = cutoff
        self._at_cutoff = at_cutoff

    def due(self, entry: Entry) -> bool:
        """Whether this one is read again."""
        rank = self._ages.rank(entry)
        if rank > self._cutoff or (rank == self._cutoff and self._at_cutoff == 0):
            return False
        self._at_cutoff -= rank == self._cutoff
        return True


class Due(NamedTuple):
    """What is known of an entry that is read again: its place in the page, and its listing."""

    number: int
    info: ObjectInfo


class _Held(NamedTuple):
    """What the stored bytes were found to be: `wrong` with them, or nothing; the digest of the content, if known."""

    entry: Entry
    due: Due
    wrong: str = ""
    content: bytes = b""


_DIFFERS = "differ from the live object, whose ETag and size are the same"


@dataclass(frozen=True, slots=True)
class Checker:
    """Reads stored bytes again, in the threads of `pool`, and holds them against what is known of them."""

    store: BackupStore
    bucket: str
    place: Place
    cipher: Cipher
    now: datetime
    pool: ThreadPoolExecutor

    def check(self, due: Iterable[tuple[Entry, Due]], tally: Tally) -> Iterator[tuple[int, Entry | None]]:
        """Yield each number with its entry, verified now; with None when its bytes are wrong, which is a finding."""
        held = [one for found in self.pool.map(self._held, spans(due)) for one in found]
        held = list(self._beside_live(held, tally))
        for one in held:
            tally.count(resampled=1, resampled_bytes=one.entry.length)
            if not one.wrong:
                yield one.due.number, one.entry._replace(verified_at=self.now)
                continue
            tally.count(mismatches=1)
            tally.found(
                Verdict.CRITICAL,
                f"The stored bytes of {one.entry.key!r}, written by the set {one.entry.set_id}, {one.wrong}; it is "
                "stored anew in this set.",
                one.entry.key,
            )
            yield one.due.number, None

    def _held(self, span: Span[Due]) -> list[_Held]:
        try:
            return list(self._packed(span) if span.first.packed else self._whole(span))
        except (InputError, GarbledAnswerError) as error:
            return [_Held(entry, due, f"cannot be read ({error})") for entry, due in span.members]

    def _packed(self, span: Span[Due]) -> Iterator[_Held]:
        for entry, due, stored in span.read(self.store, self.place):
            if hashlib.sha256(stored).hexdigest() != entry.sha256:
                yield _Held(entry, due, "are not those that were written")
                continue
            try:
                content = b"".join(self.cipher.open([stored]))
            except AccessDeniedError:  # sealed, and the identity is not here: proof will look
                yield _Held(entry, due)
            else:
                yield _Held(entry, due, content=hashlib.sha256(content).digest())

    def _whole(self, span: Span[Due]) -> Iterator[_Held]:
        ((entry, due),) = span.members
        key = self.place.key_of(entry)
        sums = Sums().take(self.store.read(self.place.bucket, key))
        wrong = wrong_with(entry, sums)
        if not wrong and not self.cipher.suffix and not self._lives(entry, due.info, key, sums):
            wrong = _DIFFERS
        yield _Held(entry._replace(sha256=sums.sha256), due, wrong)

    def _lives(self, entry: Entry, info: ObjectInfo, key: str, sums: Sums) -> bool:
        """Whether a copy is the live object still; one whose content nothing vouches for is compared whole, once."""
        try:
            if entry.sha256 or entry.etag_is_md5:
                live = ends(self.store, self.bucket, info.key, info.size_bytes)
                same = live == ends(self.store, self.place.bucket, key, entry.length)
            else:
                same = Sums().take(self.store.read(self.bucket, info.key)).sha256 == sums.sha256
        except InputError:
            return True  # deleted since the listing
        return same or not _is_still(info, self.store.find(self.bucket, info.key))

    def _beside_live(self, held: list[_Held], tally: Tally) -> Iterator[_Held]:
        looked_at = [one for one in held if one.content and not one.wrong]
        tally.count(live_looks=len(looked_at) + sum(not one.entry.packed and not self.cipher.suffix for one in held))
        bodies = self.store.read_many(self.bucket, [one.due.info for one in looked_at]) if looked_at else iter(())
        for one in held:
            if not one.content or one.wrong:
                yield one
                continue
            now, body = next(bodies)
            if isinstance(body, InputError):  # deleted since the listing
                yield one
            elif isinstance(body, TdevError):
                raise body
            else:
                same = hashlib.sha256(body).digest() == one.content
                yield one if same or not _is_still(one.due.info, now) else one._replace(wrong=_DIFFERS)


def _is_still(listed: ObjectInfo, now: ObjectInfo | None) -> bool:
    return now is not None and (now.etag, now.size_bytes) == (listed.etag, listed.size_bytes)
