"""Handing the messages that wait to their channels. One that is down stops neither the others nor the verdict.

A message is sent at least once: a worker that dies between sending and recording leaves it to be sent again, with the
same message id.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tdev_operators.core.errors import TdevError
from tdev_operators.core.items import ItemOutcome
from tdev_operators.core.ledger import Decision, Ledger
from tdev_operators.core.reporting.alerts import Episode, plan_alerts
from tdev_operators.core.reporting.messages import AlertMessage, Channel, message_id
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Coverage, Verdict

# The maintenance watches itself under this name, so that its own troubles have episodes, reminders and ends too.
SELF = "maintenance"


@dataclass(slots=True)
class DeliveryTally:
    """What went out: messages sent by channel, the channels that took one, and why others did not."""

    sent: Counter[str] = field(default_factory=Counter)
    working: set[str] = field(default_factory=set)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def problems(self) -> tuple[str, ...]:
        """One sentence a channel that is down."""
        return tuple(f"The alert channel {name} is down: {reason}" for name, reason in sorted(self.failures.items()))


def deliver(ledger: Ledger, channels: Iterable[Channel], now: datetime) -> DeliveryTally:
    """Hand every waiting message to its channel; a channel is left alone after its first failure.

    Raises:
        TdevError: the ledger failed. What was sent before may be sent again.
    """
    tally = DeliveryTally()
    for channel in channels:
        while delivery := ledger.next_delivery(channel.name, now):
            reason = hand_over(channel, delivery.message)
            ledger.record_delivery(delivery, now, reason)
            if reason:
                tally.failures[channel.name] = reason
                break
            tally.sent[channel.name] += 1
            tally.working.add(channel.name)
    return tally


def hand_over(channel: Channel, message: AlertMessage) -> str:
    """Send a message through one channel; returns why the channel did not take it, empty when it did."""
    try:
        channel.send(message)
    except TdevError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - a defect in one channel must not silence the others
        return f"The channel has a defect ({type(error).__name__}); report it."
    return ""


def deliver_and_watch(
    ledger: Ledger,
    channels: Sequence[Channel],
    settings: Settings,
    occasion: str,
    now: datetime,
    readers: Sequence[Channel] = (),
) -> DeliveryTally:
    """Hand out what waits, and tell through the other channels which one is down, or works again.

    `readers` are channels that carry reports; that one of them is down is told through `channels`.
    """
    tally = deliver(ledger, (*channels, *readers), now)
    results = [_channel_result(name, "") for name in tally.working - set(tally.failures)]
    results += [_channel_result(name, reason) for name, reason in tally.failures.items()]
    if results and watch_self(ledger, channels, settings, f"channels:{occasion}", results, now):
        others = [channel for channel in channels if channel.name not in tally.failures]
        again = deliver(ledger, others, now)
        tally.sent.update(again.sent)
        tally.failures |= again.failures
    return tally


def watch_self(
    ledger: Ledger,
    channels: Sequence[Channel],
    settings: Settings,
    occasion: str,
    results: Sequence[CheckResult],
    now: datetime,
) -> bool:
    """Decide on alerts about the maintenance itself; returns whether a message waits now."""
    outcome = ItemOutcome(tuple(results), now, now)
    has_news = False

    def decide(episodes: Sequence[Episode]) -> Decision:
        nonlocal has_news
        plan = plan_alerts(episodes, SELF, outcome, settings, now, partial=True)
        message = AlertMessage(message_id(occasion), settings.system.name, plan.notices, now, ui_url(settings))
        has_news = bool(plan.notices)
        return Decision.of(plan, message)

    names = [channel.name for channel in channels]
    damping = settings.alerts.damping_hours
    taken = ledger.decide(occasion, SELF, now, decide, channels=names, damping_hours=damping)
    return taken and has_news


def ui_url(settings: Settings) -> str:
    """Return the address of the list of reports."""
    return settings.alerts.ui_base_url.rstrip("/") + "/tdev/"


def _channel_result(name: str, reason: str) -> CheckResult:
    return CheckResult(
        check=f"{SELF}.channel_{name}",
        verdict=Verdict.CRITICAL if reason else Verdict.OK,
        summary=f"The alert channel {name} is down: {reason}" if reason else f"The alert channel {name} works.",
        hint="Until it is mended, alerts reach people through the other channels and the reports only."
        if reason
        else "",
        coverage=Coverage(seen=(name,)),
    )
