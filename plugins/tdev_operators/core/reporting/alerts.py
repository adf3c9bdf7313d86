"""Who is told what, and when: pure rules over episodes.

An episode is a stretch of time in which one check of one item is red. It is told when it opens, when it gets worse,
once in a while as long as it lasts, and when it ends. Three things hold a message back: a silence, an earlier message
about the same state, and damping: a check that turns red again shortly after the last message about it is flapping.
Damping never holds back a first alarm, a worse one, or one that outlasts the damping time.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from tdev_operators.core.items import ItemOutcome
from tdev_operators.core.reporting.settings import Silence
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Verdict


class Told(StrEnum):
    """What people were told last about an episode."""

    NOTHING = "nothing"
    OPEN = "open"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Episode:
    """One red stretch of one check. `id` is None until the ledger knows it; `suppressed` counts damped re-openings."""

    item: str
    check: str
    severity: Verdict
    summary: str
    hint: str
    opened_at: datetime
    seen_at: datetime
    report_id: str = ""
    ended_at: datetime | None = None
    told: Told = Told.NOTHING
    told_severity: Verdict | None = None
    told_at: datetime | None = None
    suppressed: int = 0
    id: int | None = None


class NoticeKind(StrEnum):
    """Why people are told."""

    OPENED = "opened"
    ESCALATED = "escalated"
    REMINDER = "reminder"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Notice:
    """One line of a message: what happened to which check."""

    kind: NoticeKind
    item: str
    check: str
    verdict: Verdict
    summary: str
    hint: str = ""
    since: datetime | None = None
    suppressed: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types only; `from_json` is the inverse."""
        return {
            "kind": self.kind.value,
            "item": self.item,
            "check": self.check,
            "verdict": self.verdict.value,
            "summary": self.summary,
            "hint": self.hint,
            "since": self.since.isoformat() if self.since else None,
            "suppressed": self.suppressed,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild a notice from `to_json`'s output."""
        since = data["since"]
        return cls(
            kind=NoticeKind(data["kind"]),
            item=data["item"],
            check=data["check"],
            verdict=Verdict(data["verdict"]),
            summary=data["summary"],
            hint=data["hint"],
            since=datetime.fromisoformat(since) if since else None,
            suppressed=data["suppressed"],
        )


@dataclass(frozen=True, slots=True)
class AlertPlan:
    """What to remember and what to tell: the episodes that changed, and one notice for each of them that is told."""

    episodes: tuple[Episode, ...] = ()
    notices: tuple[Notice, ...] = ()


def completion_check(item: str) -> str:
    """Return the name of the check that an item which did not run to its end fails, for example `backup.completed`."""
    return f"{item}.completed"


def plan_alerts(
    episodes: Sequence[Episode],
    item: str,
    outcome: ItemOutcome,
    settings: Settings,
    now: datetime,
    *,
    report_id: str = "",
    partial: bool = False,
) -> AlertPlan:
    """Decide what the outcome of one item run changes and who has to know.

    Args:
        episodes: the item's open episodes, and those that ended within the damping time.
        item: the item that ran.
        outcome: what it found.
        settings: reminders, damping and silences.
        now: the moment of the decision.
        report_id: the report that tells more.
        partial: the outcome does not stand for all checks of the item; what it does not name stays as it is.
    """
    results = _worst_by_check(outcome.results)
    known = {episode.check: episode for episode in sorted(episodes, key=lambda e: e.opened_at)}
    partial = partial or completion_check(item) in results
    changed: list[Episode] = []
    for check in sorted({*results, *known}):
        result, episode = results.get(check), known.get(check)
        if result is None:
            if episode is None or episode.ended_at or partial:
                continue
            changed.append(replace(episode, ended_at=now, summary="This check is no longer run."))
        elif result.because_of:
            continue
        elif result.verdict.is_red:
            changed.append(_seen_red(episode, item, result, settings, outcome.ended_at, now, report_id))
        elif episode and episode.ended_at is None:
            summary = f"It is {result.verdict} now: {result.summary}"
            changed.append(replace(episode, ended_at=now, summary=summary, report_id=report_id))
    return _tell(changed, settings, now)


def plan_reminders(episodes: Iterable[Episode], settings: Settings, now: datetime) -> AlertPlan:
    """Decide which open episodes, of all items, have to be told (again): due reminders, and what was held back."""
    plan = _tell([episode for episode in episodes if episode.ended_at is None], settings, now)
    told = {(notice.item, notice.check) for notice in plan.notices}
    return replace(plan, episodes=tuple(e for e in plan.episodes if (e.item, e.check) in told))


def silence_of(check: str, silences: Iterable[Silence], now: datetime) -> Silence | None:
    """Return the silence in force for a check; an expired one does not hold."""
    return next((silence for silence in silences if silence.until > now and silence.covers(check)), None)


def _worst_by_check(results: Iterable[CheckResult]) -> dict[str, CheckResult]:
    by_check: dict[str, CheckResult] = {}
    for result in results:
        known = by_check.get(result.check)
        if known is None or result.verdict.badness > known.verdict.badness:
            by_check[result.check] = result
    return by_check


def _seen_red(
    episode: Episode | None,
    item: str,
    result: CheckResult,
    settings: Settings,
    seen_at: datetime,
    now: datetime,
    report_id: str,
) -> Episode:
    if episode and episode.ended_at is None:
        seen = episode
    elif episode and episode.told_at and now - episode.told_at < timedelta(hours=settings.alerts.damping_hours):
        seen = replace(episode, ended_at=None, suppressed=episode.suppressed + 1)
    else:
        untold = episode.suppressed if episode else 0
        seen = Episode(item, result.check, result.verdict, "", "", seen_at, seen_at, suppressed=untold)
    return replace(
        seen,
        severity=result.verdict,
        summary=result.summary,
        hint=result.hint,
        seen_at=seen_at,
        report_id=report_id,
    )


def _tell(episodes: Iterable[Episode], settings: Settings, now: datetime) -> AlertPlan:
    told_episodes: list[Episode] = []
    notices: list[Notice] = []
    for episode in episodes:
        kind = _kind_of_news(episode, settings, now)
        if kind is None:
            told_episodes.append(episode)
            continue
        ended = kind is NoticeKind.ENDED
        notices.append(
            Notice(
                kind=kind,
                item=episode.item,
                check=episode.check,
                verdict=episode.severity,
                summary=episode.summary,
                hint="" if ended else episode.hint,
                since=episode.opened_at,
                suppressed=episode.suppressed,
            )
        )
        told_episodes.append(
            replace(
                episode,
                told=Told.ENDED if ended else Told.OPEN,
                told_severity=episode.severity,
                told_at=now,
                suppressed=0,
            )
        )
    notices.sort(key=lambda n: (n.kind is NoticeKind.ENDED, -n.verdict.badness, n.check))
    return AlertPlan(tuple(told_episodes), tuple(notices))


def _kind_of_news(episode: Episode, settings: Settings, now: datetime) -> NoticeKind | None:
    if episode.ended_at is not None:
        # Whoever was told that it is red is told that it is not, silence or no silence.
        return NoticeKind.ENDED if episode.told is Told.OPEN else None
    if silence_of(episode.check, settings.silences, now):
        return None
    if episode.told_at is None or episode.told_severity is None:
        return NoticeKind.OPENED
    if episode.severity.badness > episode.told_severity.badness:
        return NoticeKind.ESCALATED
    waited = now - episode.told_at
    if episode.told is Told.ENDED:
        return NoticeKind.OPENED if waited >= timedelta(hours=settings.alerts.damping_hours) else None
    return NoticeKind.REMINDER if waited >= timedelta(hours=settings.alerts.reminder_after_hours) else None
