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


@dataclass(slots=True)
class Asked:
    """What a few requests of an endpoint gave: milliseconds of those that were answered, sentences of the others."""

    milliseconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def ask(system: "SystemPorts", settings: "Settings") -> dict[str, Asked]:
    """Ask each endpoint as often as the health check does, one request after the other; return the answers by path.

    An answer with a status of 500 or more, and none, are errors. An endpoint that gives none is not asked again: each
    time-out costs seconds.
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
    return found


def logged_milliseconds(hosts: Mapping[str, Host], settings: "Settings", now: datetime) -> list[float]:
    """Return what the requests of the last 24 h took, by the log that `[tuning] log_file` and `log_duration` name.

    What cannot be read is left out.
    """
    rules, taken = settings.tuning, []
    if not rules.log_file:
        return []
    for host in hosts.values():
        with suppress(TdevError):
            files, _ = log_files(host, settings.logs.directory)
            chosen = [file for file in files if file.family == rules.log_file]
            lines, _ = matching_lines(host, chosen, rules.log_duration, since=now - timedelta(hours=24), until=now)
            taken += [float(found[1]) for line in lines if (found := re.search(rules.log_duration, line))]
    return taken
