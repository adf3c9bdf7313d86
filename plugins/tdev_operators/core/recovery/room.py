"""Whether the server's disk has room for one more database."""

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.disks import disks_of
from tdev_operators.core.errors import TdevError
from tdev_operators.core.recovery.ports import RecoveryPorts
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict

_CHECK = "restore.room"
_SECONDS = 30.0
_GB = 1e9


def room_for(ports: RecoveryPorts, settings: Settings, admin: Session, needed_bytes: int) -> CheckResult:
    """Look how much disk is free where the server keeps its data; UNKNOWN when nobody can look.

    UNKNOWN is not room: what replaces the live database does not begin then. What stands beside it does, and says so.
    """
    name, wanted = settings.recovery.database_host, needed_bytes * settings.recovery.room_percent / 100
    hint = "Free some disk, or restore on a larger server (recovery.connection)."
    if not name:
        return _unknown("recovery.database_host names no host, so that nobody can see how much disk is free.")
    try:
        folder = str(admin.rows("SHOW data_directory")[0]["data_directory"])
        [disk] = disks_of(ports.hosts[name], [folder], timeout_seconds=_SECONDS)
        free = disk.free
    except KeyError:
        return _unknown(f"recovery.database_host names {name}, which is none of the hosts.")
    except TdevError as error:
        return _unknown(f"Nobody could see how much disk is free: {error}")
    measured = (Measurement(f"free disk of {name}", round(free / _GB, 2), "GB", None, round(wanted / _GB, 2)),)
    summary = f"{free / _GB:,.1f} GB are free on {name}; {wanted / _GB:,.1f} GB are asked for."
    verdict = Verdict.OK if free >= wanted else Verdict.CRITICAL
    return CheckResult(_CHECK, verdict, summary, measured, "" if free >= wanted else hint, Coverage(seen=(name,)))


def _unknown(summary: str) -> CheckResult:
    return CheckResult(_CHECK, Verdict.UNKNOWN, summary, hint="Name the database's host in recovery.database_host.")
