"""What maintenance measured itself, in its ledger: it goes with age, too, but not while anything compares with it."""

from datetime import datetime, timedelta

from tdev_operators.core.database.care.run import REMEMBERED
from tdev_operators.core.database.performance.analysis import look_back_days
from tdev_operators.core.database.tuning.effect import LOOK_BACK
from tdev_operators.core.ledger import ItemStore
from tdev_operators.core.reporting.wording import counted, number
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict

CHECK = "retention.maintenance_records"
# Whoever looks back looks from its own moment on, and may be late.
_SPARE_DAYS = 7


def kept_days(settings: Settings) -> int:
    """Return for how many days samples stay: as the settings say, or as long as somebody compares with them."""
    needed = max(
        settings.capacity.history_days,
        look_back_days(settings.performance),
        LOOK_BACK.days,
        REMEMBERED.days,
        settings.logs.analysis.baseline_days + 2,
    )
    return max(settings.retention.maintenance_records_days, needed + _SPARE_DAYS)


def drop_old_records(ledger: ItemStore, settings: Settings, now: datetime, *, dry_run: bool = False) -> CheckResult:
    """Drop the samples that are older than that; `dry_run` only counts them. UNKNOWN while the ledger is down."""
    days = kept_days(settings)
    gone = ledger.drop_samples(settings.system.name, now - timedelta(days=days), dry_run=dry_run)
    if gone is None:
        why = "the ledger's database is down"
        return CheckResult(
            CHECK,
            Verdict.UNKNOWN,
            f"Nothing was dropped: {why}.",
            hint="Bring the ledger's database back; the next run drops them.",
            coverage=Coverage(skipped={"samples": why}),
        )
    how_many = counted(gone.samples, "sample")
    did = "would be dropped" if dry_run else "were dropped" if gone.samples != 1 else "was dropped"
    longer = settings.retention.maintenance_records_days < days
    why = f" (not {settings.retention.maintenance_records_days}: younger ones are compared with)" if longer else ""
    return CheckResult(
        CHECK,
        Verdict.OK,
        f"{how_many} older than {days} days{why} {did} from the ledger ({number(gone.bytes)} bytes).",
        (Measurement("samples", gone.samples), Measurement("their size", gone.bytes, "bytes")),
        coverage=Coverage(seen=("samples",)),
    )
