"""What a run of `tdev_apply_tuning` came to, from its journal."""

from collections.abc import Sequence

from tdev_operators.core.database.tuning.apply import APPROVAL, PLAN, REFUSED
from tdev_operators.core.database.tuning.plan import Plan
from tdev_operators.core.database.tuning.restart import RESTART, WAY_BACK
from tdev_operators.core.recovery.journal import Journal
from tdev_operators.core.reporting.wording import capitalized
from tdev_operators.core.verdicts import CheckResult, Coverage, Verdict

CHECK = "tuning.applied"


def dry_result(lines: Sequence[str]) -> CheckResult:
    """Say what would be done."""
    refused = [line for line in lines if line.startswith("would be refused")]
    why = f" {capitalized(refused[0])}" if refused else ""
    summary = f"Nothing was touched: this is a dry run.{why}"
    verdict = Verdict.WARNING if refused else Verdict.OK
    return CheckResult(CHECK, verdict, summary, coverage=Coverage(seen=("the plan",)), details=tuple(lines))


def result_of(journal: Journal, requested_by: str) -> CheckResult:
    """Say what was changed, what was taken back, and what is half-done."""
    facts = journal.done(PLAN)
    who = f"asked for by {requested_by or 'nobody known'}"
    if facts is None:
        summary = "Nothing was changed: it could not be done as asked."
        hint = "The log of `look` says why in one sentence; start it again."
        return CheckResult(CHECK, Verdict.CRITICAL, summary, hint=hint, coverage=Coverage(seen=("the plan",)))
    plan = Plan.of_facts(facts)
    refused = journal.last(REFUSED)
    if approved := (journal.done(APPROVAL) or {}).get("by"):
        who += f", approved by {', '.join(approved)}"
    ended = {change.name: journal.last(change.step) for change in plan.changes}
    done = [name for name, entry in ended.items() if entry and entry.event == "done"]
    back = [name for name, entry in ended.items() if entry and entry.event == "undone"]
    half = [name for name, entry in ended.items() if entry and entry.event == "intended"]
    never = [name for name, entry in ended.items() if entry is None]
    sentences = []
    if done:
        state = f"as before {plan.undo}" if plan.undo else "in force"
        sentences.append(f"{', '.join(done)} {'is' if len(done) == 1 else 'are'} {state}, proven; {who}.")
    if not plan.changes:
        sentences.append(f"Nothing differs of what was asked for; {who}.")
    if back:
        why = (journal.last(RESTART) or journal.entries[-1]).facts.get("why", "It could not be proven.")
        sentences.append(f"{', '.join(back)} {'was' if len(back) == 1 else 'were'} taken back: {why}")
    if half:
        way_back = journal.last(WAY_BACK)
        where = " The former file was being put back." if way_back and way_back.event == "intended" else ""
        sentences.append(f"{', '.join(half)} {'is' if len(half) == 1 else 'are'} half-done.{where}")
    if never:
        why = f": {refused.facts['why']}" if refused else "."
        sentences.append(f"{', '.join(never)} {'was' if len(never) == 1 else 'were'} not begun{why}")
    bad = bool(back or half or never)
    if half:
        hint = "Clear the red task: it goes on where the journal says, or says what to do by hand."
    elif bad:
        hint = "Mend what the sentence names, and start it again."
    else:
        hint = f"Way back: start `tdev_apply_tuning` with *Undo* = {journal.recovery_id}."
    return CheckResult(
        CHECK,
        Verdict.CRITICAL if bad else Verdict.OK,
        " ".join(sentences),
        hint=hint if plan.changes else "",
        coverage=Coverage(seen=tuple(ended) or ("the plan",)),
        details=(*(change.told for change in plan.changes), *plan.left_out, f"journal: {journal.place}"),
    )
