"""Finding sets in a bucket without listing what they hold: jumping from folder to folder.

The marks of a set (`manifest.json`, `proven.json`, `readable.json`, `staged.json`) sort behind its data, so that the
LIST that jumps over the data shows them, and the beginning of the next folder as well.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tdev_operators.core.backup.manifest import MANIFEST, PROVEN, READABLE, STAGED
from tdev_operators.core.backup.ports import BackupStore
from tdev_operators.core.backup.set_ids import is_set_id
from tdev_operators.core.ports import ObjectInfo

MARKS = (MANIFEST, PROVEN, READABLE, STAGED)

_BEFORE_MARKS = "m"  # data stands in buckets/ and database/


@dataclass(frozen=True, slots=True)
class Folder:
    """A set's folder in the bucket and the marks in it."""

    set_id: str
    marks: dict[str, ObjectInfo] = field(default_factory=dict)

    @property
    def is_staged(self) -> bool:
        """Whether it is being written, or its worker died."""
        return STAGED in self.marks and MANIFEST not in self.marks

    @property
    def is_remnant(self) -> bool:
        """Whether only data is left, of a set that retention removed."""
        return STAGED not in self.marks and MANIFEST not in self.marks


def behind(root: str, name: str) -> str:
    """Return what sorts behind every key of a folder and before the next one's: "0" follows "/"."""
    return f"{root}{name}0"


def walk(store: BackupStore, bucket: str, root: str) -> Iterator[Folder]:
    """Yield the folders of all sets and remnants below `root` in the order of their names: one LIST each."""
    folder, after = None, root
    while after:
        listing = store.list(bucket, root, after=after)
        first = next(listing, None)
        if folder is not None:
            first = _take_marks(folder, f"{root}{folder.set_id}/", first, listing)
            yield folder
        folder, after = _next(root, first)


def _take_marks(
    folder: Folder, prefix: str, first: ObjectInfo | None, listing: Iterator[ObjectInfo]
) -> ObjectInfo | None:
    """Note the marks of a folder; return the first object behind it."""
    info = first
    while info is not None and info.key.startswith(prefix):
        name = info.key[len(prefix) :]
        if name in MARKS:
            folder.marks[name] = info
        info = next(listing, None)
    return info


def _next(root: str, first: ObjectInfo | None) -> tuple[Folder | None, str]:
    """Return the folder that an object is in, and from where to list on; "" at the end."""
    name, slash, _ = first.key[len(root) :].partition("/") if first is not None else ("", "", "")
    # Set ids begin with a digit; what else is ours (the spool) stands behind them.
    if first is None or name[:1] > "9":
        return None, ""
    if not slash:
        return None, first.key
    if is_set_id(name):
        return Folder(name), f"{root}{name}/{_BEFORE_MARKS}"
    return None, behind(root, name)
