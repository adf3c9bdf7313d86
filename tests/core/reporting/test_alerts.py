"""The rules of alerting, purely."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tdev_operators.core.items import ItemOutcome
from tdev_operators.core.reporting.alerts import (
    AlertPlan,
    Episode,
    NoticeKind,
    completion_check,
    plan_alerts,
    plan_reminders,
)
from tdev_operators.core.reporting.settings import Silence
from tdev_operators.core.verdicts import Verdict
from tests.records import NOON, outcome, result, settings

CHECK = "database.dead_tuples"
OK, WARNING, UNKNOWN, CRITICAL = Verdict.OK, Verdict.WARNING, Verdict.UNKNOWN, Verdict.CRITICAL
PEOPLE = settings(reminder_after_hours=6, damping_hours=1)


class World:
    """The episodes of one item as a ledger would keep them, and everything that was told."""

    def __init__(self, rules=PEOPLE) -> None:
        self.rules = rules
        self.now = NOON
        self.episodes: dict[str, Episode] = {}
        self.told: list[tuple[NoticeKind, Verdict, int]] = []

    def later(self, **time: float) -> "World":
        self.now += timedelta(**time)
        return self

    def sees(self, verdict: Verdict, **more) -> list[NoticeKind]:
        return self.takes(outcome(result(CHECK, verdict, **more), ended_at=self.now))

    def takes(self, found: ItemOutcome) -> list[NoticeKind]:
        return self._keep(plan_alerts(self._current(), "health_check", found, self.rules, self.now))

    def reminds(self) -> list[NoticeKind]:
        return self._keep(plan_reminders(self._current(), self.rules, self.now))

    def _current(self) -> list[Episode]:
        return list(self.episodes.values())

    def _keep(self, plan: AlertPlan) -> list[NoticeKind]:
        self.episodes |= {episode.check: episode for episode in plan.episodes}
        self.told += [(n.kind, n.verdict, n.suppressed) for n in plan.notices]
        return [notice.kind for notice in plan.notices]


def test_critical_and_unknown_alert_at_once_and_warning_does_not():
    assert World().sees(CRITICAL) == [NoticeKind.OPENED]
    assert World().sees(UNKNOWN) == [NoticeKind.OPENED]
    assert World().sees(WARNING) == []
    assert World().sees(OK) == []


def test_nothing_is_repeated_until_the_reminder_is_due():
    world = World()
    world.sees(CRITICAL)
    assert world.later(hours=3).sees(CRITICAL) == []
    assert world.later(hours=2.9).reminds() == []
    assert world.later(hours=0.2).reminds() == [NoticeKind.REMINDER]
    assert world.later(hours=5).sees(CRITICAL) == []
    assert world.later(hours=1).sees(CRITICAL) == [NoticeKind.REMINDER]


def test_an_end_is_told_once_with_what_it_is_now():
    world = World()
    world.sees(CRITICAL)
    plan = plan_alerts(
        list(world.episodes.values()), "health_check", outcome(result(CHECK, WARNING)), PEOPLE, world.now
    )
    assert [notice.summary for notice in plan.notices] == [f"It is WARNING now: {CHECK} is WARNING."]
    assert world.later(hours=2).sees(OK) == [NoticeKind.ENDED]
    assert world.later(hours=2).sees(OK) == []


def test_unknown_that_becomes_critical_escalates_and_the_way_back_is_quiet():
    world = World()
    world.sees(UNKNOWN)
    assert world.later(minutes=1).sees(CRITICAL) == [NoticeKind.ESCALATED]
    assert world.later(minutes=1).sees(UNKNOWN) == []
    assert world.later(minutes=1).sees(CRITICAL) == []


def test_a_flapping_check_is_told_once_and_what_was_held_back_is_counted():
    world = World()
    assert world.sees(CRITICAL) == [NoticeKind.OPENED]
    assert world.later(minutes=5).sees(OK) == [NoticeKind.ENDED]
    for _ in range(3):
        assert world.later(minutes=5).sees(CRITICAL) == []
        assert world.later(minutes=5).sees(OK) == []
    assert world.later(hours=3).sees(CRITICAL) == [NoticeKind.OPENED]
    assert world.told[-1] == (NoticeKind.OPENED, CRITICAL, 3)
    assert world.later(hours=1).sees(OK) == [NoticeKind.ENDED]
    assert world.told[-1] == (NoticeKind.ENDED, CRITICAL, 0)


def test_damping_does_not_hide_what_outlasts_it():
    world = World()
    world.sees(CRITICAL)
    world.later(minutes=5).sees(OK)
    assert world.later(minutes=5).sees(CRITICAL) == []
    assert world.later(minutes=50).reminds() == []
    assert world.later(minutes=10).reminds() == [NoticeKind.OPENED]
    assert world.told[-1] == (NoticeKind.OPENED, CRITICAL, 1)
    assert world.later(minutes=1).sees(OK) == [NoticeKind.ENDED]


def test_damping_never_holds_back_a_first_alarm_nor_a_worse_one():
    world = World()
    world.sees(UNKNOWN)
    world.later(minutes=1).sees(OK)
    assert world.later(minutes=1).sees(CRITICAL) == [NoticeKind.ESCALATED]


def test_a_silence_holds_back_until_it_expires():
    silence = Silence(check="database.*", owner="Ada", reason="vacuum runs", until=NOON + timedelta(hours=2))
    world = World(settings(silences=(silence,), damping_hours=1, reminder_after_hours=6))
    assert world.sees(CRITICAL) == []
    assert world.later(hours=1).reminds() == []
    assert world.later(hours=1.1).reminds() == [NoticeKind.OPENED]


def test_a_silenced_episode_that_ends_is_not_told_unless_its_beginning_was():
    silence = Silence(check=CHECK, owner="Ada", reason="known", until=NOON + timedelta(hours=9))
    quiet = World(settings(silences=(silence,)))
    quiet.sees(CRITICAL)
    assert quiet.later(hours=1).sees(OK) == []
    loud = World()
    loud.sees(CRITICAL)
    loud.rules = settings(silences=(silence,))
    assert loud.later(hours=1).sees(OK) == [NoticeKind.ENDED]


def test_what_follows_from_a_root_cause_is_never_alerted_and_ends_nothing():
    world = World()
    assert world.sees(UNKNOWN, because_of="database.reachable") == []
    world.sees(CRITICAL)
    assert world.later(hours=1).sees(UNKNOWN, because_of="database.reachable") == []
    assert world.episodes[CHECK].ended_at is None


def test_an_item_that_did_not_finish_says_nothing_about_its_checks():
    world = World()
    world.sees(CRITICAL)
    lost = outcome(result(completion_check("health_check"), UNKNOWN), ended_at=world.later(hours=1).now)
    assert world.takes(lost) == [NoticeKind.OPENED]
    assert world.episodes[CHECK].ended_at is None
    assert world.later(hours=1).sees(CRITICAL) == [NoticeKind.ENDED]  # it runs again; the check is red as before


def test_a_check_that_is_no_longer_run_ends():
    world = World()
    world.sees(CRITICAL)
    assert world.takes(outcome(result("api.latency"))) == [NoticeKind.ENDED]


def test_the_worst_of_two_results_of_one_check_counts():
    found = outcome(result(CHECK, OK), result(CHECK, CRITICAL), result(CHECK, UNKNOWN))
    plan = plan_alerts([], "health_check", found, PEOPLE, NOON)
    assert [(n.check, n.verdict) for n in plan.notices] == [(CHECK, CRITICAL)]


def test_the_worst_news_comes_first_and_ends_come_last():
    red = Episode("health_check", "a.old", CRITICAL, "", "", NOON, NOON)
    known = plan_alerts([], "health_check", outcome(result("a.old", CRITICAL)), PEOPLE, NOON).episodes
    found = outcome(result("a.old", OK), result("b.lost", UNKNOWN), result("c.broken", CRITICAL))
    plan = plan_alerts([replace(known[0], opened_at=red.opened_at)], "health_check", found, PEOPLE, NOON)
    assert [notice.check for notice in plan.notices] == ["c.broken", "b.lost", "a.old"]


verdicts = st.sampled_from(Verdict)
minutes = st.integers(min_value=1, max_value=600)


@given(st.lists(st.tuples(minutes, verdicts), max_size=40))
def test_people_always_know_within_the_damping_time(history: Iterable[tuple[int, Verdict]]):
    """Whatever a check does: who heard that it is red hears that it ended, red is told when damping is over, and
    between two messages that it is red there is an end, a worsening or a reminder's time."""
    world = World()
    last_told: tuple[NoticeKind, datetime] | None = None
    for pause, verdict in history:
        for kind in world.later(minutes=pause).sees(verdict):
            if kind is NoticeKind.OPENED and last_told:
                assert last_told[0] is NoticeKind.ENDED
                assert world.now - last_told[1] >= timedelta(hours=1)
            if kind is NoticeKind.REMINDER:
                assert last_told
                assert world.now - last_told[1] >= timedelta(hours=6)
            if kind is NoticeKind.ENDED:
                assert not verdict.is_red
                assert last_told
                assert last_told[0] is not NoticeKind.ENDED
            last_told = (kind, world.now)
    if world.episodes and world.episodes[CHECK].ended_at is None:
        world.later(hours=1).reminds()
        assert world.told[-1][0] is not NoticeKind.ENDED
    elif world.told:
        assert world.told[-1][0] is NoticeKind.ENDED
