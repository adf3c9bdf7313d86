"""Replication slots that nobody reads, that are lost, or that keep much WAL."""

from tdev_operators.core.health.findings import Findings
from tdev_operators.core.health.server_state import ServerState
from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import CheckResult, Verdict

NEEDS: tuple[str, ...] = ("database",)
HINT = "Bring the slot's reader back; a slot that nobody needs: SELECT pg_drop_replication_slot('<name>');"


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """CRITICAL when a slot is lost or about to be; inactive slots and retained WAL are held against limits."""
    limits = settings.health.database
    findings = Findings(__name__)
    state = ServerState.of(system.database)
    slots = system.database.rows(load_sql("health/replication_slots"))
    findings.saw(state.name)
    findings.measure("slots", len(slots))
    for row in slots:
        name, retained = row["slot_name"], row["retained_mb"]
        if row["wal_status"] in ("lost", "unreserved") or row["invalid_because"]:
            why = row["invalid_because"] or f"wal_status {row['wal_status']}"
            findings.found(Verdict.CRITICAL, f"Slot {name} is lost or about to be ({why}); its reader must start anew.")
            continue
        verdict = findings.measure(f"{name} retains", round(retained, 1), "MB", limits.slot_retained_mb)
        findings.found(verdict, f"Slot {name} keeps {retained:.0f} MB of WAL from being removed.")
        if row["active"]:
            continue
        minutes = row["inactive_minutes"]
        if minutes is None:  # up to 16 the server does not say since when
            findings.found(Verdict.WARNING, f"Nobody reads slot {name}, and it keeps WAL.")
        else:
            verdict = findings.measure(f"{name} inactive", round(minutes, 1), "min", limits.inactive_slot_minutes)
            findings.found(verdict, f"Nobody has read slot {name} for {minutes:.0f} min, and it keeps WAL.")
    kept = sum(row["retained_mb"] for row in slots)
    return findings.conclude(
        f"{len(slots)} slots are read and keep {kept:.0f} MB of WAL." if slots else "There is no slot.", tool=state.tool
    )
