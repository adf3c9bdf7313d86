"""Somebody has accepted what each of `checks` sees, no longer than `days` ago, and nothing differs since."""

from datetime import datetime, timedelta

from tdev_operators.core.compliance.ground import Evaluation, Ground, Proof
from tdev_operators.core.compliance.profile import Control
from tdev_operators.core.reporting.wording import moment
from tdev_operators.core.security.audit.run import accepted_kind

_YEARS = timedelta(days=3 * 366)


def evaluate(control: Control, ground: Ground) -> Evaluation:
    """An acceptance that is too old fails; a look that nobody has accepted fails, too."""
    found = Evaluation()
    for name in control.checks:
        kept = ground.records.samples(accepted_kind(name), ground.at - _YEARS)
        if not kept:
            found.failed.append(Proof(f"Nobody has ever accepted what {name} sees."))
            continue
        facts = kept[-1].facts
        at = datetime.fromisoformat(facts["accepted_at"])
        proof = Proof(f"{facts.get('by')} accepted {name} on {moment(at)}: {len(facts['facts'])} lines.")
        (found.passed if at >= ground.at - timedelta(days=control.days) else found.failed).append(proof)
    return found
