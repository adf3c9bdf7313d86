"""The final delta of a bucket: what the new side's lacks is copied on the store's side, and nothing is removed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tdev_operators.core.backup.buckets.read import side_by_side
from tdev_operators.core.backup.buckets.walk import in_key_order
from tdev_operators.core.backup.ports import BackupStore
from tdev_operators.core.errors import InputError
from tdev_operators.core.ports import ObjectInfo


@dataclass(slots=True)
class Mirrored:
    """What was done to one bucket. `kept` are objects that only the new side has, `gone` those that went meanwhile.

    `lost` says why the source could not be read, where that was accepted.
    """

    source: str
    target: str
    same: int = 0
    copied: int = 0
    copied_bytes: int = 0
    kept: int = 0
    gone: int = 0
    lost: str = ""


def mirror(
    store: BackupStore, source: str, target: str, *, dry: bool = False, check: Callable[[], None] = lambda: None
) -> Mirrored:
    """Copy what differs; with `dry` only count it. Done again, it copies nothing.

    Raises:
        InputError: there is no such bucket.
        TransientError: the store is away; try again.
    """
    done = Mirrored(source, target)

    def copied(info: ObjectInfo) -> int | None:
        try:
            store.copy(source, info, target, info.key)
        except InputError:  # it went, or is another one by now
            return None
        return info.size_bytes

    lacking = _lacking(store, done)
    if dry:
        for info in lacking:
            done.copied, done.copied_bytes = done.copied + 1, done.copied_bytes + info.size_bytes
        return done
    for size in side_by_side(copied, lacking, check):
        if size is None:
            done.gone += 1
        else:
            done.copied, done.copied_bytes = done.copied + 1, done.copied_bytes + size
    return done


def _lacking(store: BackupStore, done: Mirrored) -> Iterator[ObjectInfo]:
    """Yield what the target lacks or has differently, both listings read side by side."""
    theirs = in_key_order(store.list(done.target), done.target)
    other = next(theirs, None)
    for info in in_key_order(store.list(done.source), done.source):
        while other is not None and other.key < info.key:
            done.kept += 1
            other = next(theirs, None)
        if other is not None and other.key == info.key:
            same, other = _is_same(info, other), next(theirs, None)
            if same:
                done.same += 1
                continue
        yield info
    while other is not None:
        done.kept += 1
        other = next(theirs, None)


def _is_same(one: ObjectInfo, other: ObjectInfo) -> bool:
    return (one.etag, one.size_bytes) == (other.etag, other.size_bytes)
