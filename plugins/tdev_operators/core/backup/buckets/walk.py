"""A bucket's listing and a previous index side by side, in key order: constant memory whatever their number."""

from collections.abc import Iterable, Iterator

from tdev_operators.core.backup.buckets.index import Entry
from tdev_operators.core.errors import GarbledAnswerError
from tdev_operators.core.ports import ObjectInfo


class Cursor:
    """Goes forward through the entries of an index beside a live listing."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        """Start before the first entry."""
        self._entries = iter(entries)
        self._next = next(self._entries, None)
        self.passed = 0  # entries whose key was not asked for: deleted at the source

    def seek(self, info: ObjectInfo) -> Entry | None:
        """Go forward to a key; return its entry when that is of this very content."""
        while self._next is not None and self._next.key < info.key:
            self.passed += 1
            self._next = next(self._entries, None)
        if self._next is None or self._next.key != info.key:
            return None
        here, self._next = self._next, next(self._entries, None)
        return here if here.is_of(info) else None

    def finish(self) -> int:
        """Go to the end, so that damage shows; return how many entries were never asked for."""
        while self._next is not None:
            self.passed += 1
            self._next = next(self._entries, None)
        return self.passed


def in_key_order(listing: Iterable[ObjectInfo], bucket: str) -> Iterator[ObjectInfo]:
    """Pass a listing through.

    Raises:
        GarbledAnswerError: the store does not list in key order, without which nothing can be compared with it.
    """
    last: str | None = None
    for info in listing:
        if last is not None and info.key <= last:
            raise GarbledAnswerError(
                f"The store does not list the bucket {bucket} in the order of its keys ({info.key!r} comes after "
                f"{last!r}); it cannot be backed up from this store."
            )
        last = info.key
        yield info


def pages(listing: Iterable[ObjectInfo], size: int) -> Iterator[list[ObjectInfo]]:
    """Yield a listing in lists of `size` objects; the last one may be shorter."""
    page: list[ObjectInfo] = []
    for info in listing:
        page.append(info)
        if len(page) == size:
            yield page
            page = []
    if page:
        yield page
