"""The record of an audit: what was found of each control, sealed to the audits before it."""

from datetime import datetime
from typing import Any, Literal

from tdev_operators.core.backup.ports import BackupStore
from tdev_operators.core.backup.set_ids import root_of
from tdev_operators.core.sealed_chain import Link, SealedChain

SEALED = "compliance_evidence"  # the event of the ledger's journal that holds the digests


class ComplianceRecord(Link):
    """One audit. `controls` hold id, title, outcome, maps and proofs; `not_applicable` who switched which off."""

    format: Literal[1] = 1
    system: str
    profile: str
    profile_sha256: str
    run_id: str
    audited_at: datetime
    outcome: str
    controls: tuple[dict[str, Any], ...]
    not_applicable: tuple[dict[str, str], ...]
    product_version: str


class ComplianceChain(SealedChain[ComplianceRecord]):
    """All audits of one system."""

    def __init__(self, store: BackupStore, bucket: str, system: str) -> None:
        super().__init__(store, bucket, f"{root_of(system)}compliance/records/", ComplianceRecord)
        self.reports = f"{root_of(system)}compliance/reports/"

    def subject(self, evidence: ComplianceRecord) -> str:
        """See `SealedChain.subject`."""
        return evidence.run_id

    def says(self, evidence: ComplianceRecord) -> object:
        """See `SealedChain.says`."""
        outcomes = tuple((one["id"], one["outcome"]) for one in evidence.controls)
        return outcomes, evidence.not_applicable, evidence.profile_sha256
