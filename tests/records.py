"""Records for the tests of ledger, reports and alerts: settings, results, outcomes, channels that remember."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tdev_operators.core.errors import TargetUnreachableError
from tdev_operators.core.items import ItemOutcome, ItemRef
from tdev_operators.core.reporting.messages import AlertMessage
from tdev_operators.core.series import Foreseen, Point, Series
from tdev_operators.core.settings import Settings, load_settings
from tdev_operators.core.sql import include_dir
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, OutOfScope, Verdict
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.ledger import PostgresLedger

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
REF = ItemRef("daily", "tdev_daily", "scheduled__2026-11-23T09:00:00+00:00", "health_check")

# What a stranger may call an agent: HTML, Markdown, terminal escapes, reading direction, line ends, NUL.
HOSTILE = (
    "<script>alert(1)</script>",
    "](javascript:alert(1))[x",
    "<img src=x onerror=alert(1)>",
    '"><svg/onload=alert(1)>',
    "![x](https://evil.example/pixel.png)",
    "line one\n\n# Heading\r\nBcc: victim@example.com",
    "\x1b[2J\x1b]0;owned\x07",
    "safe\u202egnp.exe",
    "zero\u200bwidth\u2028break",
    "nul\0byte",
    "lone \ud800 surrogate",
    "<!channel> *bold* `code` <https://evil.example|click>",
    "{{ 7 * 7 }} {% raw %}",
    "&lt;script&gt;",
    "</style><script>alert(1)</script>",
)


def settings(**alerts: Any) -> Settings:
    """Return the shipped settings with changes in `[alerts]`; `silences` goes one level up."""
    shipped = load_settings(include_dir() / "tdev.toml")
    silences = alerts.pop("silences", ())
    return shipped.model_copy(update={"alerts": shipped.alerts.model_copy(update=alerts), "silences": silences})


def result(check: str, verdict: Verdict = Verdict.OK, summary: str = "", **more: Any) -> CheckResult:
    """Return a result that rests on one target."""
    more = {"coverage": Coverage(seen=("target",)), "hint": "Look at it.", **more}
    return CheckResult(check=check, verdict=verdict, summary=summary or f"{check} is {verdict}.", **more)


def outcome(*results: CheckResult, ended_at: datetime = NOON, **more: Any) -> ItemOutcome:
    """Return an outcome that took three seconds."""
    return ItemOutcome(results, ended_at - timedelta(seconds=3), ended_at, **more)


def series_of(name: str = "agent-17") -> Series:
    """Return a figure of three days, foreseen for three more."""
    day = timedelta(days=1)
    return Series(
        f"size of {name}",
        f"MB of {name}",
        tuple(Point(NOON - days * day, 40.0 - days) for days in (2, 1, 0)),
        tuple(Foreseen(NOON + days * day, 40.0 + days, 40.0, 40.0 + 2 * days) for days in (1, 2, 3)),
        limit=50.0,
    )


def full_outcome(name: str = "agent-17", ended_at: datetime = NOON) -> ItemOutcome:
    """Return an outcome with something of everything, in which every text holds `name`."""
    return outcome(
        result(
            "database.dead_tuples",
            Verdict.CRITICAL,
            f"31 % of the rows of {name} are dead.",
            hint=f"Run VACUUM on {name}.",
            measurements=(Measurement(f"dead rows of {name}", 31.4, "%", 10, 20),),
            duration_seconds=0.0123,
        ),
        result("agents.size", Verdict.WARNING, f"{name} is near its limit.", series=(series_of(name),)),
        result("api.latency", Verdict.UNKNOWN, f"{name} did not answer.", because_of="api.reachable"),
        result(
            "infrastructure.disk",
            Verdict.OK,
            f"{name} has room.",
            measurements=(Measurement(f"disk of {name}", 40, "%", 80, 90), Measurement("inodes", float("nan"))),
            coverage=Coverage(seen=("t-developer-1", name), data_age_seconds=90, tool="df 9.1", canary_found=True),
        ),
        result(f"custom.{name}", Verdict.UNKNOWN, coverage=Coverage(skipped={name: f"no way to {name}"})),
        ended_at=ended_at,
        out_of_scope=(OutOfScope("security.buckets", f"{name} has none", "Security"),),
    )


def facts_of(database: Mapping[str, Any]) -> ConnectionFacts:
    """Return the ledger's connection for the `database` fixture."""
    return ConnectionFacts(
        conn_id="tdev_ledger",
        conn_type="postgres",
        host=database["host"],
        port=database["port"],
        login=database["user"],
        password=database["password"],
        schema=database["dbname"],
    )


class MemoryChannel:
    """A channel that remembers what it was given, and fails while it is told to."""

    def __init__(self, name: str = "mail", *, down: bool = False) -> None:
        self.name = name
        self.down = down
        self.messages: list[AlertMessage] = []

    def send(self, message: AlertMessage) -> None:
        if self.down:
            raise TargetUnreachableError(f"The {self.name} server cannot be reached; look at it.")
        self.messages.append(message)

    @property
    def subjects(self) -> list[str]:
        return [message.subject for message in self.messages]


class BeatenHeart:
    """Takes heartbeats."""

    def __init__(self) -> None:
        self.urls: list[str] = []

    def __call__(self, url: str) -> None:
        self.urls.append(url)


def ran(ledger: PostgresLedger, ref: ItemRef, found: ItemOutcome) -> None:
    """Let an item run in the ledger."""
    ledger.open_item(ref, found.started_at)
    ledger.close_item(ref, found)
