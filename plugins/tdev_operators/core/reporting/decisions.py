"""The occasions on which alerts are decided: a report, a replay, reminders, news of the ledger itself."""

from collections.abc import Callable, Sequence
from datetime import datetime

from tdev_operators.core.items import ItemOutcome
from tdev_operators.core.ledger import Decision, Ledger, Replayed
from tdev_operators.core.reporting.alerts import AlertPlan, Episode, Notice, NoticeKind, plan_alerts, plan_reminders
from tdev_operators.core.reporting.delivery import SELF, ui_url
from tdev_operators.core.reporting.messages import AlertMessage, Channel, message_id
from tdev_operators.core.reporting.report import Report, report_id, report_url
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import Verdict


def decide_on_report(
    ledger: Ledger, channels: Sequence[Channel], settings: Settings, report: Report, *, remark: str
) -> None:
    """Decide, once for each report, who has to know of it; `remark` says that its outcome had waited in the spool."""
    occasion = f"report:{report.id}"
    outcome = ItemOutcome(
        tuple(finding.result for finding in report.findings), report.started_at, report.ended_at, report.out_of_scope
    )

    def decide(episodes: Sequence[Episode]) -> Decision:
        plan = plan_alerts(episodes, report.ref.item, outcome, settings, report.created_at, report_id=report.id)
        notices = [*plan.notices]
        if ledger.outage:
            notices.append(ledger_notice(NoticeKind.OPENED, ledger.outage))
        elif remark:
            notices.append(ledger_notice(NoticeKind.ENDED, remark))
        message = AlertMessage(
            message_id(occasion), settings.system.name, tuple(notices), report.created_at, report.url, report
        )
        return Decision.of(plan, message)

    ledger.decide(
        occasion,
        report.ref.item,
        report.ended_at,
        decide,
        channels=[channel.name for channel in channels],
        damping_hours=settings.alerts.damping_hours,
    )


def decide_on_readers(ledger: Ledger, readers: Sequence[Channel], settings: Settings, report: Report) -> None:
    """Have a report sent, once, to those who want every report."""
    occasion = f"readers:{report.id}"
    message = AlertMessage(message_id(occasion), settings.system.name, (), report.created_at, report.url, report)
    # No check's episodes are touched: it is decided on apart from the item's alerts.
    ledger.decide(
        occasion,
        occasion,
        report.ended_at,
        lambda _: Decision(message=message),
        channels=[reader.name for reader in readers],
        damping_hours=settings.alerts.damping_hours,
    )


def decide_on_replay(
    ledger: Ledger, channels: Sequence[Channel], settings: Settings, entry: Replayed, now: datetime
) -> bool:
    """Decide on an outcome that the ledger missed; what people were told meanwhile is not told again.

    Returns False when its report was decided on already.
    """
    identity = report_id(entry.ref, entry.outcome.ended_at)

    def decide(episodes: Sequence[Episode]) -> Decision:
        plan = plan_alerts(episodes, entry.ref.item, entry.outcome, settings, now, report_id=identity)
        url = report_url(settings, identity)
        message = AlertMessage(message_id(f"replay:{identity}"), settings.system.name, plan.notices, now, url)
        return Decision.of(plan, message.without(entry.told))

    return ledger.decide(
        f"report:{identity}",
        entry.ref.item,
        entry.outcome.ended_at,
        decide,
        channels=[channel.name for channel in channels],
        damping_hours=settings.alerts.damping_hours,
    )


def decide_on_reminders(
    ledger: Ledger, channels: Sequence[Channel], settings: Settings, occasion: str, now: datetime
) -> None:
    """Decide which open episodes, of all items, are told again."""

    def decide(episodes: Sequence[Episode]) -> Decision:
        return _told(plan_reminders(episodes, settings, now), settings, f"reminders:{occasion}", now)

    _decide_on_all(ledger, channels, settings, f"reminders:{occasion}", now, decide)


def decide_on_return(
    ledger: Ledger, channels: Sequence[Channel], settings: Settings, occasion: str, now: datetime, *, sentence: str
) -> None:
    """Decide to tell that the ledger is back."""
    plan = AlertPlan(notices=(ledger_notice(NoticeKind.ENDED, sentence),))
    decision = _told(plan, settings, f"return:{occasion}", now)
    _decide_on_all(ledger, channels, settings, f"return:{occasion}", now, lambda _: decision)


def ledger_notice(kind: NoticeKind, sentence: str) -> Notice:
    """Return the news that the ledger is down, or back."""
    hint = (
        "" if kind is NoticeKind.ENDED else "Mend the database of the connection tdev_ledger; work goes on meanwhile."
    )
    return Notice(kind, SELF, f"{SELF}.ledger", Verdict.UNKNOWN, sentence, hint)


def _told(plan: AlertPlan, settings: Settings, occasion: str, now: datetime) -> Decision:
    return Decision.of(
        plan, AlertMessage(message_id(occasion), settings.system.name, plan.notices, now, ui_url(settings))
    )


def _decide_on_all(
    ledger: Ledger,
    channels: Sequence[Channel],
    settings: Settings,
    occasion: str,
    now: datetime,
    decide: Callable[[Sequence[Episode]], Decision],
) -> None:
    names, damping = [channel.name for channel in channels], settings.alerts.damping_hours
    ledger.decide(occasion, None, now, decide, channels=names, damping_hours=damping)
