"""Rotation of logs on all hosts: tried out, put in place, proven; one result (guide: Log Rotation)."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tdev_operators.core.errors import InputError, ProofFailedError, sentence_of
from tdev_operators.core.logs.check_names import INSTALLED
from tdev_operators.core.logs.rotation.configuration import text_of
from tdev_operators.core.logs.rotation.installing import Installation
from tdev_operators.core.ports import Host
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult, Coverage, Verdict

_HINT = (
    "Mend what the sentence names in [logs.rotation] or on the host, and start it again; what is in place stays as it "
    "is until then."
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RotationWanted:
    """What a run shall do: on one host or (`host` is empty) on all; only say it; and rotate once, as a proof."""

    host: str = ""
    dry_run: bool = True
    prove: bool = False


def install_rotation(
    hosts: Mapping[str, Host],
    settings: Settings,
    wanted: RotationWanted,
    *,
    note: Callable[[str, Mapping[str, Any]], None],
    progress: Callable[[str], object] = _log.info,
    check: Callable[[], None] = lambda: None,
) -> CheckResult:
    """Put the settings' configuration of logrotate on the hosts, one after the other, and say what became of each.

    A host that refuses it keeps its former one, and the others go on. It may be called again at any point.

    Raises:
        InputError: `wanted.host` is none of the settings', or the folder's name cannot be used. BusyError: see `check`.
    """
    names = [entry.name for entry in settings.hosts if wanted.host in ("", entry.name)]
    if not names:
        known = ", ".join(entry.name for entry in settings.hosts)
        raise InputError(f"{wanted.host!r} is none of [[hosts]]; choose one of {known}.")
    rules, directory = settings.logs.rotation, settings.logs.directory
    text = text_of(directory, rules)
    seen: list[str] = []
    skipped: dict[str, str] = {}
    told: list[str] = []
    refused: list[str] = []
    for name in names:
        check()
        try:
            one = Installation(hosts[name], directory, rules, note=note, progress=progress, check=check)
            done = one.try_out() if wanted.dry_run else one.carry_out()
            told += done.told
            if wanted.prove and not wanted.dry_run:
                told += one.prove().told
            seen.append(name)
        except ProofFailedError as error:
            seen.append(name)
            refused.append(str(error))
        except Exception as error:  # noqa: BLE001  the boundary: one odd host holds up no other
            check()  # a lost lease is no fault of the host
            skipped[name] = sentence_of(error, name, _log)
        for line in (*told[-1:], *refused[-1:]):
            progress(line)
    did = "Nothing was changed: this is a dry run." if wanted.dry_run else f"Rotation {rules.every} is in place."
    return CheckResult(
        INSTALLED,
        Verdict.CRITICAL if refused else Verdict.OK,
        " ".join([*refused, did]) if not refused or wanted.dry_run else " ".join(refused),
        hint=_HINT,
        coverage=Coverage(seen=tuple(seen), skipped=skipped),
        details=(*told, f"{rules.file}:", *text.splitlines()),
    )
