"""The audit trail is whole: its tables refuse changes, and every evidence follows the one before it."""

from tdev_operators.core.compliance.ground import Evaluation, Ground, Proof
from tdev_operators.core.compliance.profile import Control
from tdev_operators.core.compliance.record import SEALED, ComplianceChain
from tdev_operators.core.drill.evidence import SEALED as DRILLS
from tdev_operators.core.drill.evidence import EvidenceChain
from tdev_operators.core.errors import ProofFailedError


def evaluate(control: Control, ground: Ground) -> Evaluation:
    """A guard that is gone, or an evidence that was changed or removed, fails."""
    del control
    found = Evaluation()
    for table, guarded in ground.records.guards().items():
        if guarded:
            found.passed.append(Proof(f"{table} refuses changes."))
        else:
            found.failed.append(Proof(f"{table} can be changed: its guard is gone or disabled."))
    bucket, system = ground.settings.buckets.backups, ground.settings.system.name
    for what, event, chain in (
        ("drills", DRILLS, EvidenceChain(ground.store, bucket, system)),
        ("compliance audits", SEALED, ComplianceChain(ground.store, bucket, system)),
    ):
        try:
            links = chain.read(ground.records.digests(event))
        except ProofFailedError as error:
            found.failed.append(Proof(str(error), place=chain.folder))
        else:
            found.passed.append(Proof(f"The evidence of {len(links)} {what} is whole.", place=chain.folder))
    return found
