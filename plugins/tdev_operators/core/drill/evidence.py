"""The evidence of drills: one object a drill, bound to the one before by its digest, so that none can be rewritten.

They stand in the backups bucket below `<system>/drills/`; the ledger holds the same digests.
"""

from datetime import datetime
from typing import Any, Literal

from tdev_operators.core.backup.ports import BackupStore
from tdev_operators.core.backup.set_ids import root_of
from tdev_operators.core.drill.forecast import Size, Timed
from tdev_operators.core.sealed_chain import Link, SealedChain
from tdev_operators.core.verdicts import Verdict

SEALED = "drill_evidence"  # the event of the ledger's journal that holds the digests
TAMPERED = f"Compare with the digests in the ledger (event {SEALED}), and find out who may write to that bucket."


class Evidence(Link):
    """What was rehearsed, when, by whom, from which set, and how it ended. `phases` are seconds, moments are UTC.

    `results` are the checks of the drill with their verdicts and sentences.
    """

    format: Literal[1] = 1
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


class EvidenceChain(SealedChain[Evidence]):
    """All evidence of one system's drills."""

    def __init__(self, store: BackupStore, bucket: str, system: str) -> None:
        super().__init__(store, bucket, f"{root_of(system)}drills/", Evidence)

    def subject(self, evidence: Evidence) -> str:
        """See `SealedChain.subject`."""
        return evidence.recovery_id

    def says(self, evidence: Evidence) -> object:
        """See `SealedChain.says`."""
        return evidence.verdict, evidence.phases, evidence.approved_by
