"""Each of `checks` was found well, in its newest run, no longer than `days` ago."""

from datetime import timedelta

from tdev_operators.core.compliance.ground import Evaluation, Ground, Proof
from tdev_operators.core.compliance.profile import Control
from tdev_operators.core.reporting.wording import moment
from tdev_operators.core.verdicts import Verdict


def evaluate(control: Control, ground: Ground) -> Evaluation:
    """A worse verdict than `at_worst` fails; UNKNOWN, too old, never run or switched off is unknown."""
    found = Evaluation()
    for pattern in control.checks:
        off = next((entry for entry in ground.settings.out_of_scope if _covers(entry.check, pattern)), None)
        seen = ground.records.results(pattern)
        if off is not None:
            found.unknown.append(Proof(f"{pattern} is switched off by {off.owner}: {off.reason}."))
        elif not seen:
            found.unknown.append(Proof(f"{pattern} was never looked at."))
        for one in seen if off is None else ():
            proof = Proof(f"{one.check} on {moment(one.ended_at)}: {one.verdict}. {one.summary}", one.report_id)
            if one.verdict is Verdict.UNKNOWN or one.ended_at < ground.at - timedelta(days=control.days):
                found.unknown.append(proof)
            elif one.verdict.badness > control.worst.badness:
                found.failed.append(proof)
            else:
                found.passed.append(proof)
    return found


def _covers(entry: str, pattern: str) -> bool:
    """Whether an entry of [[out_of_scope]] switches off all that a control asks for."""
    return entry == pattern or (entry.endswith(".*") and pattern.startswith(entry[:-1]))
