"""How much disk is free where the database keeps its data, so that a rebuild does not fill it."""

from collections.abc import Callable, Mapping

from tdev_operators.core.backup.ports import Session
from tdev_operators.core.errors import GarbledAnswerError, InputError
from tdev_operators.core.ports import Host

_SECONDS = 30.0


def free_disk(hosts: Mapping[str, Host], name: str, session: Session) -> Callable[[], int | None]:
    """Return a function that returns the free bytes now; None where the settings name no host of the database.

    The function raises an InputError, a GarbledAnswerError, or what `Host.run` raises.
    """
    if not name:
        return lambda: None
    folder = str(session.rows("-- one row: where the data are\nSHOW data_directory")[0]["data_directory"])

    def free() -> int:
        if name not in hosts:
            raise InputError(f"recovery.database_host names {name}, which is none of [[hosts]]; mend one of them.")
        told = hosts[name].run(["df", "-P", "-B1", folder], timeout_seconds=_SECONDS)
        try:
            return int(told.stdout.splitlines()[-1].split()[3])
        except (IndexError, ValueError):
            raise GarbledAnswerError(f"`df` on {name} did not say how much of {folder} is free.") from None

    return free
