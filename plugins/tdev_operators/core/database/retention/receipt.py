"""What a run leaves in the bucket beside its archive: plan, progress, receipt. A retry reads it and goes on.

Before rows go, `progress.json` says how many there are. Whoever comes after a crash counts what still stands, so that
the receipt has what happened, and only that.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self
from urllib.parse import quote, unquote

from tdev_operators.core.backup.ports import BackupStore
from tdev_operators.core.backup.set_ids import root_of
from tdev_operators.core.errors import GarbledAnswerError

_MAX_BYTES = 16 * 2**20
PLAN, ARCHIVE, PROGRESS, RECEIPT = "plan.json", "archive.json", "progress.json", "receipt.json"

Journal = Callable[[str, Mapping[str, Any]], None]  # notes what is going to be done, and raises where it cannot


@dataclass(slots=True)
class Counts:
    """What became of the rows that were looked at: `rows` = `kept` + `archived` + `discarded`.

    Of those kept, `edited` were changed after they had been archived, `late` were written after the run began, and
    `unarchived` are due but in no archive yet (late or edited). `about` of the discarded are counted by the server's
    statistics only: they went with a whole partition.
    """

    rows: int = 0
    kept: int = 0
    archived: int = 0
    discarded: int = 0
    edited: int = 0
    late: int = 0
    unarchived: int = 0
    about: int = 0
    batches: int = 0
    partitions: int = 0
    wal_bytes: int = 0
    seconds: float = 0.0

    def add(self, other: "Counts") -> None:
        """Add another's figures."""
        for name, value in asdict(other).items():
            setattr(self, name, getattr(self, name) + value)

    @property
    def balanced(self) -> bool:
        """Whether every row is accounted for."""
        return self.rows == self.kept + self.archived + self.discarded


@dataclass(slots=True)
class Progress:
    """How far the removal is. `pending` is a step that was begun.

    `part` and `group` say which archived rows are next, `after` behind which row the next range begins, by `order`.
    `before` is how many rows ranges would have led through before any went, `seen` the snapshot that says so.
    `left` are ranges that stay because somebody held them, with the reason; `remarks` are what else is to be known:
    partitions that could not go whole, stretches that a try was killed in. `unsure` is what nobody can count any more.
    """

    counts: Counts = field(default_factory=Counts)
    part: int = 1
    group: int = 0
    order: list[str] = field(default_factory=list)
    after: list[str] | None = None
    before: int | None = None
    seen: str = ""
    ranges_done: bool = False
    left: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)
    pending: dict[str, Any] | None = None

    def begin_again(self, order: list[str]) -> None:
        """Walk the ranges from the first one on, in another order. What is kept there is looked at again."""
        self.order, self.after, self.before = order, None, None
        self.counts.rows -= self.counts.kept
        self.counts.kept = self.counts.late = self.counts.unarchived = 0

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types; `of_json` is the inverse."""
        return asdict(self)

    @classmethod
    def of_json(cls, data: dict[str, Any]) -> Self:
        """Rebuild it; what another version has written besides is left away."""
        known = {each.name: data[each.name] for each in fields(cls) if each.name in data}
        return cls(**{**known, "counts": Counts(**data["counts"])})


class Folder:
    """The objects of one table in one run: `<system>/<archive folder>/<run>/<schema.table>/`."""

    def __init__(self, store: BackupStore, bucket: str, prefix: str) -> None:
        self.store, self.bucket, self.prefix = store, bucket, prefix
        self._names: set[str] | None = None  # listed once: nobody else writes here while we do

    @classmethod
    def of(cls, store: BackupStore, bucket: str, system: str, folder: str, run_id: str, title: str) -> Self:
        """Return the folder of a table, however it is called."""
        return cls(store, bucket, f"{root_of(system)}{folder}/{run_id}/{quote(title, safe='.')}/")

    @property
    def place(self) -> str:
        """Where it stands, for people."""
        return f"s3://{self.bucket}/{self.prefix}"

    @property
    def title(self) -> str:
        """The table's schema and name."""
        return unquote(self.prefix.rstrip("/").rpartition("/")[2])

    def key(self, name: str) -> str:
        """Return the key of an object."""
        return f"{self.prefix}{name}"

    def read(self, name: str) -> dict[str, Any] | None:
        """Return an object's JSON; None when it is not there.

        Raises:
            GarbledAnswerError: it is no JSON.
        """
        if self._names is None:
            found = self.store.list(self.bucket, self.prefix)
            self._names = {info.key.removeprefix(self.prefix) for info in found}
        if name not in self._names:
            return None
        body = self.store.read_whole(self.bucket, self.key(name), max_bytes=_MAX_BYTES)
        try:
            data: dict[str, Any] = json.loads(body)
        except ValueError:
            raise GarbledAnswerError(f"{self.place}{name} is no JSON; look at it by hand.") from None
        return data

    def write(self, name: str, data: dict[str, Any]) -> None:
        """Store an object's JSON (overwrites)."""
        self.store.put(self.bucket, self.key(name), json.dumps(data, indent=1).encode())
        if self._names is not None:
            self._names.add(name)


def part_name(number: int) -> str:
    """Return the name of an archive object."""
    return f"part-{number:05d}.parquet"


def earlier(folder: Folder) -> Iterator[Folder]:
    """Yield the folders of other runs for the same table in which a removal was begun."""
    run_folder, _, title = folder.prefix.rstrip("/").rpartition("/")
    root = run_folder.rpartition("/")[0] + "/"
    for info in folder.store.list(folder.bucket, root):
        if info.key.endswith(f"/{title}/{PROGRESS}") and info.key != folder.key(PROGRESS):
            yield Folder(folder.store, folder.bucket, info.key.removesuffix(PROGRESS))
