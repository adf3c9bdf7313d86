"""Memory is flat, whatever the bucket holds."""

import hashlib
import os
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from tdev_operators.core.backup.buckets.index import Entry, write_index
from tdev_operators.core.backup.buckets.snapshot import snapshot_bucket
from tdev_operators.core.backup.cipher import Plain
from tdev_operators.core.backup.manifest import BucketSnapshot
from tdev_operators.core.ports import ObjectInfo
from tests.backup_sets import NINE_PM, manifest
from tests.core.backup.buckets.worlds import settings

BODY = b"small"
FIRST, SECOND = "000001-20261125T210000Z-0f3a9c", "000002-20261126T210000Z-0f3a9c"


class _File:
    def __init__(self, stored):
        self.write, self.complete = stored.write, stored.flush


class Endless:
    """A store that lists as many keys as it is told, all of one content, and keeps what it gets on disk."""

    def __init__(self, folder: Path, objects: int, *, larger: int = 0):
        self.folder, self.objects, self.larger = folder, objects, larger
        self.resident = {}
        self.requests = {}

    def infos(self):
        etag = hashlib.md5(BODY).hexdigest()
        for number in range(self.objects):
            size = len(BODY) if number % 100 >= self.larger else 10_000_000
            yield ObjectInfo(f"agents/{number:09d}/source/of/some/length.py", size, etag, NINE_PM)

    def list(self, bucket, prefix=""):
        if bucket != "source":
            return
        for number, info in enumerate(self.infos(), 1):
            if number % 10_000 == 0:
                pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
                self.resident[number] = pages * os.sysconf("SC_PAGE_SIZE")
            yield info

    def find(self, bucket, key):
        return None

    def copy(self, source_bucket, source, bucket, key):
        return source

    def read_many(self, bucket, wanted):
        return ((info, BODY) for info in wanted)

    def read(self, bucket, key, *, start=0, length=None):
        if length is not None:
            yield BODY
            return
        with (self.folder / key.replace("/", "_")).open("rb") as stored:
            while chunk := stored.read(1 << 16):
                yield chunk

    @contextmanager
    def upload(self, bucket, key):
        with (self.folder / key.replace("/", "_")).open("wb") as stored:
            yield _File(stored)


def take(store, set_id, previous, **changes):
    return snapshot_bucket(
        store,
        name="agents",
        bucket="source",
        target_bucket="backups",
        system="app",
        set_id=set_id,
        previous=previous,
        settings=settings(**changes),
        cipher=Plain(),
        full=False,
        now=NINE_PM + timedelta(minutes=1),
    )


def grown(store, since):
    """By how many MB the process grew after so many keys."""
    return (max(size for at, size in store.resident.items() if at > since) - store.resident[since]) / 1e6


@pytest.mark.faults
def test_an_unchanged_bucket_of_120_000_objects(tmp_path):
    store = Endless(tmp_path, 120_000)
    digest = hashlib.sha256(BODY).hexdigest()
    entries = (
        Entry(info.key, info.size_bytes, info.etag, NINE_PM, digest, FIRST, f"{info.key}.tar", 0, len(BODY), NINE_PM)
        for info in store.infos()
    )
    index, totals = write_index(store, "backups", f"app/{FIRST}/", "index.zst", entries, level=1, cipher=Plain())
    before = BucketSnapshot(
        name="agents",
        bucket="source",
        taken_at=NINE_PM,
        objects=totals.objects,
        bytes=totals.size_bytes,
        index=index,
        packs=(),
        copies=0,
        copied_bytes=0,
        referenced_sets=(),
    )
    snapshot, report = take(store, SECOND, manifest(FIRST, buckets=(before,)), sample_percent=0.1)
    assert (report.unchanged, report.resampled, snapshot.objects) == (120_000, 120, 120_000)
    assert grown(store, 60_000) < 8


@pytest.mark.faults
def test_a_first_set_of_60_000_objects_of_which_some_are_large(tmp_path):
    store = Endless(tmp_path, 60_000, larger=10)
    _, report = take(store, FIRST, None)
    assert (report.packed, report.copied) == (54_000, 6_000)
    assert grown(store, 30_000) < 16
