"""The audit from its looks to results: each look for itself, held against what was accepted or was there a week ago."""

import hashlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tdev_operators.core.errors import InputError, sentence_of
from tdev_operators.core.ledger import ItemStore, Sample
from tdev_operators.core.reporting.escaping import one_line
from tdev_operators.core.reporting.wording import counted
from tdev_operators.core.security.audit.looking import AuditLook, AuditPorts, Looked
from tdev_operators.core.security.audit.looks import all_looks
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict, worst

_log = logging.getLogger(__name__)

_AT_ONCE = 3
_SENTENCES, _LINES, _LINE = 4, 400, 300
# What is older is written anew, so that it outlives the ledger's own clearing away of old samples.
_RENEW_DAYS = 30
_FOR_EVER = timedelta(days=366)
_WEEK = timedelta(days=6)  # a run of Tuesday compares with one of last Tuesday, not with today's first try


@dataclass(frozen=True, slots=True)
class Difference:
    """What a look's facts are held against, and how they differ. `since` is None when there is nothing yet."""

    since: datetime | None
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    by: str = ""


def state_of(facts: Sequence[str]) -> str:
    """Return a short name of a state, by which people accept what they have read and nothing else."""
    return hashlib.sha256("\n".join(sorted(set(facts))).encode()).hexdigest()[:8]


def audit(
    ports: AuditPorts,
    settings: Settings,
    ledger: ItemStore,
    *,
    at: datetime,
    switched_off: frozenset[str] = frozenset(),
    progress: Callable[[str], object] = lambda _: None,
    check: Callable[[], None] = lambda: None,
) -> tuple[CheckResult, ...]:
    """Take every look and return a result for each. One that fails is UNKNOWN, and the others go on.

    What was seen is kept in the ledger, for the next week and for whoever accepts it.

    Raises:
        BusyError: see `check`.
    """
    looks = [one for one in all_looks() if one.name not in switched_off]
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="audit") as pool:
        started = [pool.submit(_one, one, ports, settings, ledger, at) for one in looks]
        results = []
        for future in started:
            result = future.result()
            progress(f"{result.verdict:8} {result.check}: {result.summary}")
            results.append(result)
            check()
    return tuple(results)


def accept(ledger: ItemStore, settings: Settings, name: str, by: str, now: datetime, state: str = "") -> int:
    """Make what the last audit saw the state that later ones are held against; return how many lines that are.

    `state` is the name of the state that was read (see `state_of`); another one is refused.

    Raises:
        InputError: there is no such look, none was taken in the last week, it left something out, or what it saw is
            not what was read.
    """
    known = [one.name for one in all_looks() if one.against == "accepted"]
    if name not in known:
        raise InputError(f"{name!r} is accepted by nobody; choose one of {', '.join(known)}.")
    seen = ledger.samples(settings.system.name, name, now - timedelta(days=8), 1)
    if not seen:
        raise InputError(f"No audit of the last week has looked at {name}; start `security_audit` first.")
    if skipped := seen[-1].facts.get("skipped"):
        raise InputError(
            f"The last audit left something out of {name} ({', '.join(skipped)}); mend that and look again."
        )
    is_now = state_of(seen[-1].facts["facts"])
    if state and state != is_now:
        raise InputError(f"What the last audit saw of {name} is {is_now}, and not {state}; read it with `tdev audit`.")
    facts = {"facts": list(seen[-1].facts["facts"]), "by": by, "accepted_at": now.isoformat()}
    ledger.keep_sample(settings.system.name, accepted_kind(name), Sample(now, facts))
    return len(facts["facts"])


def difference(
    ledger: ItemStore, system: str, look: AuditLook, facts: Sequence[str], at: datetime
) -> Difference | None:
    """Return how facts differ from what they are held against; None while the ledger's database is down."""
    kind = accepted_kind(look.name) if look.against == "accepted" else look.name
    found = ledger.samples(system, kind, at - _FOR_EVER)
    if found is None:
        return None
    if look.against == "last week":
        found = [one for one in found if one.taken_at <= at - _WEEK]
    if not found:
        return Difference(None)
    last = found[-1]
    before = set(last.facts["facts"])
    if look.against == "accepted" and at - last.taken_at > timedelta(days=_RENEW_DAYS):
        ledger.keep_sample(system, kind, Sample(at, last.facts))
    since = datetime.fromisoformat(last.facts["accepted_at"]) if "accepted_at" in last.facts else last.taken_at
    return Difference(
        since,
        tuple(one for one in facts if one not in before),
        tuple(sorted(before - set(facts))),
        str(last.facts.get("by", "")),
    )


def _one(look: AuditLook, ports: AuditPorts, settings: Settings, ledger: ItemStore, at: datetime) -> CheckResult:
    began = time.monotonic()
    try:
        looked = look.look(ports, settings, at)
        looked.facts = [_line_of(fact) for fact in looked.facts]
        compared = None
        if look.against:
            compared = difference(ledger, settings.system.name, look, looked.facts, at)
            if looked.seen:
                # A retry is of its run's moment, and sees what is there now: the newest is what counts.
                seen_at = max(at, ports.system.clock())
                facts = {"facts": looked.facts, "skipped": sorted(looked.skipped)}
                ledger.keep_sample(settings.system.name, look.name, Sample(seen_at, facts))
    except Exception as error:  # noqa: BLE001  the boundary: one look that fails must not hide the others
        why = sentence_of(error, look.name, _log)
        return CheckResult(look.name, Verdict.UNKNOWN, why, hint=look.hint, coverage=Coverage(skipped={look.name: why}))
    return _result(look, looked, compared).timed(time.monotonic() - began)


def _line_of(fact: str) -> str:
    """Return a fact as one line; what is cut off counts all the same."""
    line = one_line(fact, _LINE)
    if len(fact) < _LINE:
        return line
    return f"{line} sha256:{hashlib.sha256(fact.encode()).hexdigest()[:12]}"


def _result(look: AuditLook, looked: Looked, compared: Difference | None) -> CheckResult:
    found, details, skipped, quiet = list(looked.found), [], dict(looked.skipped), looked.well
    if look.against and compared is None:
        skipped["what was there before"] = "the ledger is away"
    elif compared is not None:
        quiet, verdict = _told(look, looked, compared)
        if verdict is not Verdict.OK:
            found.append((verdict, quiet))
        details += [f"+ {line}" for line in compared.added] + [f"- {line}" for line in compared.removed]
    if look.against == "" or (compared is not None and compared.since is None):
        details += looked.facts
    if len(details) > _LINES:
        details = [*details[:_LINES], f"and {len(details) - _LINES} more lines"]
    ordered = sorted(found, key=lambda one: -one[0].badness)
    told = [sentence for _, sentence in ordered[:_SENTENCES]]
    if len(ordered) > _SENTENCES:
        told.append(f"And {len(ordered) - _SENTENCES} more.")
        details = [f"{verdict}: {sentence}" for verdict, sentence in ordered] + details
    return CheckResult(
        look.name,
        worst([Verdict.OK, *(verdict for verdict, _ in found)]),
        " ".join(told) or quiet,
        measurements=(*looked.figures, *_figures(look, compared)),
        hint=_hint(look, looked) if found else "",
        coverage=Coverage(seen=tuple(looked.seen), skipped=skipped, canary_found=looked.canary_found),
        details=tuple(details),
    )


def _hint(look: AuditLook, looked: Looked) -> str:
    if look.against != "accepted":
        return look.hint
    how = f"`tdev audit --accept {look.name} --state {state_of(looked.facts)}`"
    return f"{look.hint.rstrip('.')}; or read it and accept it: {how}."


def _told(look: AuditLook, looked: Looked, compared: Difference) -> tuple[str, Verdict]:
    count = counted(len(looked.facts), "line")
    if compared.since is None:
        if look.against == "accepted":
            return f"Nobody has accepted what is there: {count}, below.", Verdict.WARNING
        return f"{count}; there is none of a week ago to compare with.", Verdict.OK
    changed = f"{len(compared.added)} added, {len(compared.removed)} gone"
    if look.against == "last week":
        return f"{count}; since {compared.since:%Y-%m-%d}: {changed}.", Verdict.OK
    who = f"what {compared.by} accepted on {compared.since:%Y-%m-%d}"
    if compared.added or compared.removed:
        return f"It differs from {who}: {changed}.", Verdict.WARNING
    return f"{count}, {who}.", Verdict.OK


def _figures(look: AuditLook, compared: Difference | None) -> tuple[Measurement, ...]:
    if compared is None or compared.since is None:
        return ()
    limit: Mapping[str, Any] = {"warning": 1} if look.against == "accepted" else {}
    return (
        Measurement("added", len(compared.added), **limit),
        Measurement("gone", len(compared.removed), **limit),
    )


def accepted_kind(name: str) -> str:
    """Return the kind of sample that holds what was accepted of a look."""
    return f"{name} accepted"
