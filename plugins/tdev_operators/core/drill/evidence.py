"""The evidence of drills: one object a drill, bound to the one before by its digest, so that none can be rewritten.

They stand in the backups bucket below `<system>/drills/`; the ledger holds the same digests.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

from pydantic import ValidationError

from tdev_operators.core.backup.manifest import Record
from tdev_operators.core.backup.ports import BackupStore
from tdev_operators.core.backup.set_ids import root_of
from tdev_operators.core.drill.forecast import Size, Timed
from tdev_operators.core.errors import ProofFailedError
from tdev_operators.core.verdicts import Verdict

TAMPERED = "Compare with the digests in the ledger (event drill_evidence), and find out who may write to that bucket."

_MAX_BYTES = 1024 * 1024


class Evidence(Record):
    """What was rehearsed, when, by whom, from which set, and how it ended. `phases` are seconds, moments are UTC.

    `results` are the checks of the drill with their verdicts and sentences. `previous_sha256` is the digest of the
    evidence before this one; empty for the first.
    """

    format: Literal[1] = 1
    number: int
    previous_sha256: str
    system: str
    recovery_id: str
    asked_by: str
    approved_by: tuple[str, ...]
    disaster_at: datetime
    ended_at: datetime
    set_id: str
    manifest_sha256: str
    recovery_point: datetime | None
    phases: dict[str, float]
    database_bytes: int
    rows: int
    objects: int
    verdict: Verdict
    results: tuple[dict[str, Any], ...]
    product_version: str

    @property
    def rto_seconds(self) -> float:
        """The measured recovery time."""
        return sum(self.phases.values())

    @property
    def proven(self) -> bool:
        """Whether this drill counts: approved, rehearsed to the end, nothing red."""
        return not self.verdict.is_red and bool(self.phases) and bool(self.approved_by)

    @property
    def timed(self) -> Timed:
        """Its figures, for the forecast."""
        return Timed(Size(self.database_bytes, self.objects), self.phases)


def _says(evidence: Evidence) -> tuple[object, ...]:
    return evidence.verdict, evidence.phases, evidence.approved_by


@dataclass(frozen=True, slots=True)
class Sealed:
    """An evidence as it is stored, and the digest of those bytes."""

    evidence: Evidence
    sha256: str


class EvidenceChain:
    """All evidence of one system."""

    def __init__(self, store: BackupStore, bucket: str, system: str) -> None:
        self._store, self._bucket = store, bucket
        self.folder = f"{root_of(system)}drills/"

    def read(self, known: Mapping[int, str] = MappingProxyType({})) -> list[Sealed]:
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

    def append(self, evidence: Evidence) -> Sealed:
        """Bind an evidence to the newest one and store it; its number and link are set here.

        What a drill has said already it does not say again; what it says anew follows what it said.

        Raises:
            BusyError: another drill's evidence came between; try again.
            ProofFailedError: the chain is broken.
        """
        chain = self.read()
        known = [one for one in chain if one.evidence.recovery_id == evidence.recovery_id]
        if known and _says(known[-1].evidence) == _says(evidence):
            return known[-1]
        linked = evidence.model_copy(
            update={"number": len(chain) + 1, "previous_sha256": chain[-1].sha256 if chain else ""}
        )
        body = linked.model_dump_json(indent=1).encode()
        self._store.put(self._bucket, self.key_of(linked.number), body, only_if_absent=True)
        return Sealed(linked, hashlib.sha256(body).hexdigest())

    def count(self) -> int:
        """Return how many there are, whatever they are."""
        return sum(1 for _ in self._store.list(self._bucket, self.folder))

    def key_of(self, number: int) -> str:
        """Return where the evidence of a number stands."""
        return f"{self.folder}{number:06d}.json"

    def _read(self) -> Iterator[Sealed]:
        previous = ""
        for number, info in enumerate(self._store.list(self._bucket, self.folder), start=1):
            if info.key != self.key_of(number):
                raise ProofFailedError(f"The evidence {self.key_of(number)} is missing; somebody removed it.")
            body = self._store.read_whole(self._bucket, info.key, max_bytes=_MAX_BYTES)
            try:
                evidence = Evidence.model_validate_json(body)
            except ValidationError:
                raise ProofFailedError(f"{info.key} is no evidence of a drill; somebody changed it.") from None
            if (evidence.number, evidence.previous_sha256) != (number, previous):
                raise ProofFailedError(
                    f"The evidence {info.key} does not follow the one before it: that one was changed, or this one."
                )
            previous = hashlib.sha256(body).hexdigest()
            yield Sealed(evidence, previous)
