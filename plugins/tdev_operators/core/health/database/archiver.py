"""Whether WAL is archived where it is expected to be."""

from tdev_operators.core.health.findings import Findings
from tdev_operators.core.health.server_state import ServerState
from tdev_operators.core.ports import SystemPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql
from tdev_operators.core.verdicts import CheckResult, Verdict

NEEDS: tuple[str, ...] = ("database",)
HINT = (
    "SELECT * FROM pg_stat_archiver; run the archive_command by hand for the failed WAL file; its error is in the log. "
    "Files wait and none fails: the archive_command hangs or is too slow (ps -ef | grep archiver)."
)


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """CRITICAL when archiving is expected and off, or when it fails and has not succeeded since.

    The oldest WAL file that waits is held against its limit: an archive_command that hangs counts no failure. (What
    waits is seen on disk, so that counters which were reset lately hide nothing.)
    """
    findings = Findings(__name__)
    state = ServerState.of(system.database)
    row = system.database.rows(load_sql("health/archiver"))[0]
    expected = settings.health.database.expects_archiving
    findings.saw(state.name)
    if not row["configured"]:
        if expected:
            findings.found(
                Verdict.CRITICAL,
                f"WAL is not archived (archive_mode = {row['mode']}, {row['with_what']}), and the settings expect it.",
            )
        return findings.conclude("WAL is not archived, and the settings do not expect it.", tool=state.tool)
    if state.in_recovery and row["mode"] != "always":
        findings.skip(
            "archiver", f"{state.name} is a standby, its primary archives; let tdev_postgres name the primary"
        )
        return findings.conclude("", tool=state.tool)
    backlog = system.database.rows(load_sql("health/archiver_backlog"))[0]
    findings.measure("WAL files that wait", backlog["waiting"])
    limits = settings.health.database.archive_ready_minutes
    findings.found(
        findings.measure("oldest WAL file that waits", round(backlog["minutes"], 1), "min", limits),
        f"{backlog['waiting']} WAL files wait to be archived, the oldest for {backlog['minutes']:.0f} min.",
    )
    findings.measure("failed archivings", row["failed"])
    findings.measure("archived files", row["archived"])
    if row["failing"]:
        last = (
            f"the last success was {row['archived_minutes']:.0f} min ago" if row["archived"] else "none succeeded yet"
        )
        findings.found(
            Verdict.CRITICAL, f"Archiving of {row['last_failed_wal']} fails ({row['failed']} failures); {last}."
        )
    elif not row["archived"] and expected:
        findings.skip("archiver", "nothing was archived since the counters began; SELECT pg_switch_wal() gives it work")
    since = f", the last {row['archived_minutes']:.0f} min ago" if row["archived_minutes"] is not None else ""
    return findings.conclude(f"{row['archived']} WAL files were archived{since}.", tool=state.tool)
