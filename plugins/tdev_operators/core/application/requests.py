"""How long requests of the API take: a few of our own, and those of which its log tells."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tdev_operators.core.errors import TdevError
from tdev_operators.core.health.log_lines import log_files, matching_lines
from tdev_operators.core.ports import Host

if TYPE_CHECKING:
    from tdev_operators.core.ports import SystemPorts
    from tdev_operators.core.settings import Settings

_SERVER_ERRORS = 500
_HOURS = (24.0, 6.0, 1.0)


@dataclass(slots=True)
class Asked:
    """What a few requests of an endpoint gave: milliseconds of those that were answered; why the others failed."""

    milliseconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    failed: int = 0


def ask(system: "SystemPorts", settings: "Settings") -> dict[str, Asked]:
    """Ask each endpoint as often as the health check does, one request after the other; return the answers by path.

    An answer with a status of 500 or more, and none, are failures. An endpoint that gives none is not asked again, for
    each time-out costs seconds: what was not asked counts as failed, too.
    """
    rules = settings.health.api
    found = {}
    for endpoint in rules.endpoints:
        asked = found[endpoint.path] = Asked()
        for _ in range(rules.requests_per_endpoint):
            try:
                answer = system.api.get(endpoint.path)
            except TdevError as error:
                asked.errors.append(str(error))
                break
            if answer.status >= _SERVER_ERRORS:
                asked.errors.append(f"status {answer.status}")
            else:
                asked.milliseconds.append(answer.seconds * 1000)
        asked.failed = rules.requests_per_endpoint - len(asked.milliseconds)
    return found


@dataclass(frozen=True, slots=True)
class Logged:
    """What the requests of the last hours took, as the log tells, in milliseconds."""

    hours: float
    milliseconds: list[float]


def logged_requests(hosts: Mapping[str, Host], settings: "Settings", now: datetime) -> Logged | None:
    """Return what the log that `[tuning] log_file` and `log_duration` name tells of requests.

    It is the last 24 hours where they fit into what a host hands over (1 MiB), else the last 6 or the last; None where
    no host has such a log, or one of them cannot be read: a part would not be the whole.
    """
    if not settings.tuning.log_file:
        return None
    for hours in _HOURS:
        with suppress(TdevError):
            taken, is_whole = _within(hosts, settings, now, hours)
            if is_whole:
                return Logged(hours, taken) if taken else None
    return None


def _within(hosts: Mapping[str, Host], settings: "Settings", now: datetime, hours: float) -> tuple[list[float], bool]:
    rules = settings.tuning
    taken: list[float] = []
    is_whole = True
    for host in hosts.values():
        files, _ = log_files(host, settings.logs.directory)
        chosen = [file for file in files if file.family == rules.log_file]
        lines, more = matching_lines(host, chosen, rules.log_duration, since=now - timedelta(hours=hours), until=now)
        is_whole = is_whole and not more
        taken += [float(found[1]) for line in lines if (found := re.search(rules.log_duration, line))]
    return taken, is_whole
