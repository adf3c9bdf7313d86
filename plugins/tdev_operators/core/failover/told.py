"""What a failover has to say of itself, from its journal: how far it came, in how long, and what was lost."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from tdev_operators.core.failover.failover import (
    APPROVED,
    ASKED,
    END,
    FENCE,
    LOOKED,
    NAMES,
    PROMOTE,
    START,
    SYNC,
    VERIFY,
    took,
)
from tdev_operators.core.failover.request import FailoverRequest
from tdev_operators.core.recovery.journal import Journal
from tdev_operators.core.reporting.wording import moment, span
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict

_AGAIN = "Read the log of the first red task; clear it to go forward."
_MEGABYTE = 1_000_000


def results_of(journal: Journal, settled: str = "") -> tuple[CheckResult, ...]:
    """Return a result for each step that was asked for; what was not reached is UNKNOWN.

    `settled` is what `Failover.settle` said: where the failover is not over, it says how each part stands.
    """
    asked = journal.done(ASKED)
    if asked is None:
        return (CheckResult("failover.look", Verdict.UNKNOWN, "Nothing was begun.", hint=_AGAIN),)
    request = FailoverRequest.of_facts(asked)
    results = tuple(_results(journal, request))
    if settled and journal.last(FENCE) is not None and journal.done(END) is None:
        half_way = CheckResult("failover.state", Verdict.CRITICAL, settled, coverage=Coverage(seen=(request.to,)))
        return (half_way, *results)
    return results


def _results(journal: Journal, request: FailoverRequest) -> Iterator[CheckResult]:
    looked = journal.done(LOOKED)
    if looked is None:
        summary = "Whether it can be done was not seen to the end; nothing was touched."
        yield CheckResult("failover.look", Verdict.UNKNOWN, summary, hint=_AGAIN)
        return
    yield _ok("failover.look", " ".join(f"{line}." for line in looked["told"]), request.to)
    if request.rehearse:
        return
    refused = journal.last(APPROVED)
    if refused is not None and refused.event == "refused":
        why = refused.facts.get("why", "")
        yield CheckResult(
            "failover.approval", Verdict.UNKNOWN, f"Not failed over: {why}", hint="Agree, and start again."
        )
        return
    end = (journal.done(END) or {}).get("how", "")
    if end == "taken back":
        summary = "Nothing was promoted, and the old side serves again as before."
        hint = "Read the log of the first red task; start again when it is mended."
        yield CheckResult("failover.end", Verdict.CRITICAL, summary, hint=hint, coverage=Coverage(seen=(request.to,)))
        return
    if end == "given up":
        summary = "It was given up as it stood; what was done stands below."
        hint = "Look at both sides by hand before anything is started."
        yield CheckResult("failover.end", Verdict.CRITICAL, summary, hint=hint, coverage=Coverage(seen=(request.to,)))
    yield from _steps(journal, request)
    if end == "done":
        yield _end(journal, request)
        yield _loss(looked, journal.done(SYNC) or {}, request)


def _steps(journal: Journal, request: FailoverRequest) -> Iterator[CheckResult]:
    sentences: dict[str, Callable[[Mapping[str, Any]], str]] = {
        FENCE: lambda facts: f"The old side is off: {facts['how']}{' of ' + facts['by'] if facts['by'] else ''}.",
        SYNC: _synced,
        PROMOTE: lambda facts: _promoted(facts, request.to),
        NAMES: lambda facts: _pointing(facts["names"]),
        START: lambda facts: " ".join(
            (
                f"{', '.join(facts['services']) or 'Nothing'} runs there.",
                *(f"Slot {one}" for one in facts["slots_failed"]),
            )
        ),
        VERIFY: lambda facts: (
            f"It takes writes ({facts['written_at']}), its API answers, and the old side is off still."
        ),
    }
    for step, sentence in sentences.items():
        facts, entry = journal.done(step), journal.last(step)
        if facts is not None:
            yield _ok(f"failover.{step}", sentence(facts), request.to)
        else:
            begun = "was begun and has no end that is known" if entry is not None else "was not reached"
            yield CheckResult(f"failover.{step}", Verdict.UNKNOWN, f"The step {step} {begun}.", hint=_AGAIN)


def _end(journal: Journal, request: FailoverRequest) -> CheckResult:
    seconds = took(journal)
    measured = tuple(Measurement(f"until {step} was done", took_, "s") for step, took_ in seconds.items())
    approved = (journal.done(APPROVED) or {}).get("by", ())
    summary = (
        f"{request.to} took writes {span(seconds.get(PROMOTE, 0.0))} after the old side was told to stop, and served "
        f"{span(seconds.get(VERIFY, 0.0))} after. Asked for by {request.requested_by or 'nobody'}, approved by "
        f"{', '.join(approved) or 'nobody'}."
    )
    return CheckResult("failover.end", Verdict.OK, summary, measured, coverage=Coverage(seen=(request.to,)))


def _loss(looked: Mapping[str, Any], synced: Mapping[str, Any], request: FailoverRequest) -> CheckResult:
    coverage = Coverage(seen=(request.to,))
    if request.planned:
        summary = "Nothing was lost: the standby had replayed the old side's shutdown before it was promoted."
        return CheckResult("failover.loss", Verdict.OK, summary, coverage=coverage)
    loss = looked["loss"]
    since = f" since {moment(datetime.fromisoformat(loss['last_replayed_at']))}" if loss["last_replayed_at"] else ""
    what = f"{loss['bytes'] / _MEGABYTE:,.2f} MB of log" if loss["bytes"] is not None else "an unknown amount"
    measured = (Measurement("had not reached the new side", loss["bytes"], "bytes"),)
    summary = f"Lost: {what} that the old side had written{since}, and all that it wrote after this was looked at."
    if "set_id" in loss:
        summary = f"Lost: all that the old side wrote{since}, when the set {loss['set_id']} was taken."
    if unread := [one for one in synced.get("buckets", {}).values() if one["lost"]]:
        summary += f" The last changes of {', '.join(one['source'] for one in unread)} as well: {unread[0]['lost']}"
    hint = "Keep the old side's data: what is missing can be read there before it is rebuilt."
    return CheckResult("failover.loss", Verdict.WARNING, summary, measured, hint, coverage)


def _promoted(facts: Mapping[str, Any], side: str) -> str:
    if "set_id" in facts:
        names = ", ".join(one["name"] for one in facts["databases"])
        return f"{side} has {names} as it was in the set {facts['set_id']}, found equal to it."
    told = f"{side} is the primary, on timeline {facts['timeline']} since {facts['switch']}"
    return told + (f"; the old side ended at {facts['last']}, which lies before." if facts["last"] else ".")


def _synced(facts: Mapping[str, Any]) -> str:
    copied = sum(bucket["copied"] for bucket in facts["buckets"].values())
    position = (
        f"The set {facts['set_id']} is restored"
        if "set_id" in facts
        else (
            f"The standby has everything up to {facts['last']}"
            if facts["last"]
            else "The old side's last position is unknown"
        )
    )
    return f"{position}; {copied:,} objects were copied."


def _pointing(names: Mapping[str, str]) -> str:
    return (
        " ".join(f"{name} resolves to {address}." for name, address in names.items()) or "There are no names to move."
    )


def _ok(check: str, summary: str, side: str) -> CheckResult:
    return CheckResult(check, Verdict.OK, summary, coverage=Coverage(seen=(side,)))
