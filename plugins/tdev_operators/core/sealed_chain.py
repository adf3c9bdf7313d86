"""Evidence that cannot be rewritten: objects in the store, each bound to the one before by that one's digest.

The ledger keeps the same digests, so that the whole of it cannot be replaced either.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic, TypeVar

from pydantic import ValidationError

from tdev_operators.core.backup.manifest import Record
from tdev_operators.core.backup.ports import BackupStore
from tdev_operators.core.errors import ProofFailedError

_MAX_BYTES = 4 * 1024 * 1024


class Link(Record):
    """A piece of evidence. `previous_sha256` is the digest of the one before; empty for the first."""

    number: int
    previous_sha256: str


T = TypeVar("T", bound=Link)


@dataclass(frozen=True, slots=True)
class Sealed(Generic[T]):
    """An evidence as it is stored, and the digest of those bytes."""

    evidence: T
    sha256: str


class SealedChain(Generic[T]):
    """All evidence of one kind, numbered objects below a folder of a bucket."""

    def __init__(self, store: BackupStore, bucket: str, folder: str, kind: type[T]) -> None:
        self._store, self._bucket, self.folder, self._kind = store, bucket, folder, kind

    def read(self, known: Mapping[int, str] = MappingProxyType({})) -> list[Sealed[T]]:
        """Return everything, the oldest first. `known` are digests by number that somebody else kept: the ledger.

        Raises:
            ProofFailedError: one is missing, unreadable, not the one that its successor was bound to, or not as known.
        """
        chain = list(self._read())
        digests = {one.evidence.number: one.sha256 for one in chain}
        for number in sorted(known):
            if digests.get(number) != known[number]:
                what = "is not what it was" if number in digests else "was removed"
                raise ProofFailedError(f"The evidence {number} {what}: the ledger knows it as {known[number]}.")
        return chain

    def append(self, evidence: T) -> Sealed[T]:
        """Bind an evidence to the newest one and store it; its number and link are set here.

        What is said of a subject already is not said again; what is said of it anew follows what was said.

        Raises:
            BusyError: another one came between; try again. ProofFailedError: the chain is broken.
        """
        chain = self.read()
        known = [one for one in chain if self.subject(one.evidence) == self.subject(evidence)]
        if known and self.says(known[-1].evidence) == self.says(evidence):
            return known[-1]
        linked = evidence.model_copy(
            update={"number": len(chain) + 1, "previous_sha256": chain[-1].sha256 if chain else ""}
        )
        body = linked.model_dump_json(indent=1).encode()
        self._store.put(self._bucket, self.key_of(linked.number), body, only_if_absent=True)
        return Sealed(linked, hashlib.sha256(body).hexdigest())

    def subject(self, evidence: T) -> str:
        """Return what an evidence is about: a drill, an audit."""
        raise NotImplementedError

    def says(self, evidence: T) -> object:
        """Return what an evidence says of its subject."""
        raise NotImplementedError

    def count(self) -> int:
        """Return how many there are, whatever they are."""
        return sum(1 for _ in self._store.list(self._bucket, self.folder))

    def key_of(self, number: int) -> str:
        """Return where the evidence of a number stands."""
        return f"{self.folder}{number:06d}.json"

    def _read(self) -> Iterator[Sealed[T]]:
        previous = ""
        for number, info in enumerate(self._store.list(self._bucket, self.folder), start=1):
            if info.key != self.key_of(number):
                raise ProofFailedError(f"The evidence {self.key_of(number)} is missing; somebody removed it.")
            body = self._store.read_whole(self._bucket, info.key, max_bytes=_MAX_BYTES)
            try:
                evidence = self._kind.model_validate_json(body)
            except ValidationError:
                raise ProofFailedError(f"{info.key} is no evidence of that kind; somebody changed it.") from None
            if (evidence.number, evidence.previous_sha256) != (number, previous):
                raise ProofFailedError(
                    f"The evidence {info.key} does not follow the one before it: that one was changed, or this one."
                )
            previous = hashlib.sha256(body).hexdigest()
            yield Sealed(evidence, previous)
