"""Every item of the calendar was begun in each of its slots of the last `days`, and came to an end."""

from bisect import bisect_left
from datetime import timedelta

from croniter import croniter

from tdev_operators.core.compliance.ground import Evaluation, Ground, Proof
from tdev_operators.core.compliance.profile import Control
from tdev_operators.core.reporting.wording import counted, moment

# A slot that is caught up later on the same day is late, and its deadline has told so; it is kept all the same.
_GRACE = timedelta(days=1)


def evaluate(control: Control, ground: Ground) -> Evaluation:
    """A slot without a run fails, and so does one whose runs all died. Slots from before `tdev init` do not count."""
    found, begins = Evaluation(), ground.at - timedelta(days=control.days)
    runs = ground.records.runs(begins)
    for planned in ground.records.calendar():
        ended = sorted(run.started_at for run in runs if run.item == planned.item and run.ended_at is not None)
        start = max(begins, planned.since)
        missed, kept = [], 0
        slots = croniter(planned.cron, start - timedelta(seconds=1))
        while (slot := slots.get_next(type(ground.at))) <= ground.at - _GRACE:
            at = bisect_left(ended, slot)
            if at < len(ended) and ended[at] < slot + _GRACE:
                kept += 1
            else:
                missed.append(slot)
        name = f"{planned.tier}: {planned.item}"
        if missed:
            when = ", ".join(moment(slot) for slot in missed[:3])
            found.failed.append(Proof(f"{name} missed {counted(len(missed), 'slot')} of {kept + len(missed)}: {when}."))
        elif kept:
            found.passed.append(Proof(f"{name} kept {counted(kept, 'slot')}."))
    return found
