"""A bucket, its sets and a store between them that lies where a test tells it to."""

import hashlib
import json
import subprocess
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta

from tdev_operators.core.backup.buckets.index import read_index
from tdev_operators.core.backup.buckets.read import read_object, restore_sample, verify_written
from tdev_operators.core.backup.buckets.snapshot import snapshot_bucket
from tdev_operators.core.backup.buckets.stored import Place
from tdev_operators.core.backup.cipher import Plain
from tdev_operators.core.backup.settings import BackupSettings
from tdev_operators.core.sql import include_dir
from tests.backup_sets import NINE_PM, manifest

SYSTEM = "app"
KIB = 1024
DAY = timedelta(days=1)


def settings(**changes):
    shipped = tomllib.loads((include_dir() / "tdev.toml").read_text())["backup"]
    return BackupSettings.model_validate_json(json.dumps({**shipped, "small_object_kb": 8, "pack_mb": 1, **changes}))


class LyingStore:
    """Gives everything to the real one, but for methods that a test puts in their place."""

    def __init__(self, real):
        self.real = real

    def __getattr__(self, name):
        return getattr(self.real, name)


@dataclass
class World:
    real: object
    source: str
    target: str
    settings: BackupSettings = field(default_factory=settings)
    cipher: object = field(default_factory=Plain)
    manifests: list = field(default_factory=list)
    reports: list = field(default_factory=list)

    def __post_init__(self):
        self.store = LyingStore(self.real)

    def put(self, contents):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda pair: self.real.put(self.source, *pair), contents.items()))

    @property
    def set_id(self):
        return f"{len(self.manifests) + 1:06d}-20261125T210000Z-0f3a9c"

    def take(self, *, day=None, full=False, **more):
        """Take the next set; a day passes between two."""
        before = self.real.requests
        snapshot, report = snapshot_bucket(
            self.store,
            name="agents",
            bucket=self.source,
            target_bucket=self.target,
            system=SYSTEM,
            set_id=self.set_id,
            previous=self.manifests[-1] if self.manifests else None,
            settings=self.settings,
            cipher=self.cipher,
            full=full,
            now=NINE_PM + (len(self.manifests) if day is None else day) * DAY,
            **more,
        )
        made = {kind: count - before.get(kind, 0) for kind, count in self.real.requests.items()}
        assert {kind: count for kind, count in made.items() if count} == dict(report.requests)
        self.manifests.append(
            manifest(
                self.set_id,
                buckets=(snapshot,),
                encryption="age" if self.cipher.suffix else "none",
                recipients=self.settings.age_recipients,
            )
        )
        self.reports.append(report)
        return report

    @property
    def newest(self):
        return self.manifests[-1]

    @property
    def snapshot(self):
        return self.newest.buckets[0]

    @property
    def place(self):
        return Place(self.target, f"{SYSTEM}/")

    def entries(self, at=-1):
        made = self.manifests[at]
        folder = self.place.folder_of(made.set_id)
        return list(read_index(self.real, self.target, folder, made.buckets[0].index, self.cipher))

    def entry(self, key):
        return next(entry for entry in self.entries() if entry.key == key)

    def contents(self):
        """Every object of the newest set, by ranged reads."""
        return {entry.key: b"".join(read_object(self.real, self.place, entry, self.cipher)) for entry in self.entries()}

    def live(self):
        return {info.key: b"".join(self.real.read(self.source, info.key)) for info in self.real.list(self.source)}

    def verify(self, **more):
        made = self.newest
        return verify_written(self.store, self.target, SYSTEM, made.set_id, self.snapshot, self.cipher, **more)

    def sample(self, percent=100.0):
        return restore_sample(
            self.store, self.target, SYSTEM, self.newest, self.cipher, sample_percent=percent, progress=lambda _: None
        )

    def stored(self):
        return {info.key: info for info in self.real.list(self.target)}

    def bytes_at(self, key):
        return b"".join(self.real.read(self.target, key))

    def extracted(self, folder, **environment):
        """Unpack all packs of the newest set with the system's tar; return the files by name."""
        for pack in self.snapshot.packs:
            body = self.bytes_at(self.place.folder_of(self.newest.set_id) + pack.key)
            assert hashlib.sha256(body).hexdigest() == pack.sha256
            done = subprocess.run(
                ["tar", "xf", "-", "-C", str(folder)],
                input=body,
                capture_output=True,
                check=True,
                env={"PATH": "/usr/bin:/bin", **environment},
            )
            assert done.stderr == b""
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def some_objects(small=40, large=3):
    """Small ones of some bytes, and large ones of 20 KiB: all differ."""
    contents = {f"src/{n:04d}.py": f"print({n})\n".encode() * (n % 7 + 1) for n in range(small)}
    contents |= {f"weights/{n}.bin": bytes([n]) * (20 * KIB) for n in range(large)}
    return contents
