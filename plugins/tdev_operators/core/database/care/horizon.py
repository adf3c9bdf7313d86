"""Who holds the xmin horizon, so that VACUUM can remove nothing younger."""

from collections.abc import Sequence
from dataclasses import dataclass

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.reporting.wording import capitalized, span
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict

NAME = "care.horizon"
_HINT = (
    "End the transaction (it is the application's), roll a forgotten prepared one back, drop a slot that nobody reads, "
    "or set hot_standby_feedback off; then VACUUM again."
)


@dataclass(frozen=True, slots=True)
class Holder:
    """A session, prepared transaction, slot or standby, and how many transactions it holds back."""

    kind: str
    name: str
    transactions: int
    open_seconds: float | None

    @property
    def text(self) -> str:
        """`the session pid 17 of app (t-developer-api), open for 3 h, holds back 1,200,000 transactions`."""
        age = f", open for {span(self.open_seconds)}," if self.open_seconds is not None else ""
        return f"the {self.kind} {self.name}{age} holds back {self.transactions:,} transactions"


def holders(session: Session) -> tuple[Holder, ...]:
    """Return who holds this database's horizon, the worst first. Needs pg_monitor to see other roles' sessions."""
    rows = session.rows(load_sql("health/long_transactions"))
    found = [
        Holder(row["kind"], row["holder"], int(row["xmin_age"]), row["open_seconds"])
        for row in rows
        if row["xmin_age"] is not None and row["is_ours"]
    ]
    return tuple(sorted(found, key=lambda one: -one.transactions))


def horizon_result(found: Sequence[Holder], at_most: int, tool: str, *, sees_all: bool) -> CheckResult:
    """Hold the oldest holder against `care.old_horizon_transactions`. `sees_all`: whether we see others' sessions."""
    coverage = Coverage(
        seen=("prepared transactions", "slots", *(("sessions", "standbys") if sees_all else ())),
        skipped={} if sees_all else {"others' sessions": "our role may not see them; GRANT pg_monitor to it"},
        tool=tool,
    )
    worst = found[0].transactions if found else 0
    measured = (Measurement("transactions held back", worst, "", at_most),)
    details = tuple(holder.text for holder in found[:20])
    if worst < at_most:
        summary = f"Nobody holds back {at_most:,} transactions or more, so that dead rows can be removed."
        return CheckResult(NAME, Verdict.OK, summary, measured, coverage=coverage, details=details)
    text = found[0].text
    summary = f"{capitalized(text)}: VACUUM removes nothing that died since."
    return CheckResult(NAME, Verdict.WARNING, summary, measured, _HINT, coverage, details=details)
