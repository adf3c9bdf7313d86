"""Failed logins in the logs of the hosts, without those of our own probes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from tdev_operators.core.health.findings import Findings
from tdev_operators.core.health.log_lines import line_time, log_files, matching_lines, newest_line
from tdev_operators.core.health.on_hosts import answers_of, on_each_host
from tdev_operators.core.ports import Host, SystemPorts
from tdev_operators.core.settings import HostSettings, Settings
from tdev_operators.core.verdicts import CheckResult

NEEDS: tuple[str, ...] = ("hosts",)
HINT = (
    "See who tries: grep -hE 'Unauthorized|Authentication failed' <log folder>/*.log | tail -50; then block the source."
)

PATTERN = "Unauthorized|Authentication failed"  # the guide's security_events
PROBE_MARK = "tdev-maintenance-probe"  # the user agent of our own requests

_ANY = "every log"
_DAY = timedelta(hours=24)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one host's logs held: failed logins, our own refused probes, and by log the age of its newest line."""

    day: int
    hour: int
    own_day: int
    own_hour: int
    cut: bool
    minutes: Mapping[str, float | None]
    odd_names: list[str]


def check(system: SystemPorts, settings: Settings) -> CheckResult:
    """Hold the failed logins of the last hour and of the last day, over all hosts, against their limits.

    A missing log folder, or a log of `login_logs` in which nothing is new, is UNKNOWN: nobody writes down what fails.
    """
    limits = settings.health.security
    findings = Findings(__name__)
    now = system.clock()

    def look(host: Host, _: HostSettings) -> _Seen:
        files, odd = log_files(host, settings.logs.directory)
        families = [name for name in limits.login_logs if any(file.family == name for file in files)]
        # A host without one of them still shows by its other logs whether it logs at all.
        wanted = {name: [file for file in files if file.family == name] for name in families} or {_ANY: files}
        newest = {name: newest_line(host, of_one, now) for name, of_one in wanted.items()}
        lines, cut = matching_lines(host, files, PATTERN, since=now - _DAY, until=now)
        recent = [line for line in lines if (stamp := line_time(line)) and stamp >= now - _HOUR]
        own_day, own_hour = (sum(PROBE_MARK in line for line in some) for some in (lines, recent))
        ages = {name: (now - stamp).total_seconds() / 60 if stamp else None for name, stamp in newest.items()}
        return _Seen(len(lines) - own_day, len(recent) - own_hour, own_day, own_hour, cut, ages, odd)

    hosts, because_of = answers_of(on_each_host(system, settings, look), findings)
    for name, seen in hosts.items():
        gaps = [
            f"{log} is stale, the newest line: " + ("none bears a time" if age is None else f"{age:.0f} min old")
            for log, age in seen.minutes.items()
            if age is None or age > limits.log_stale_minutes
        ]
        if seen.cut:
            gaps.append("more matching lines than are read at once")
        if seen.odd_names:
            odd = ", ".join(ascii(path) for path in seen.odd_names[:3])
            gaps.append(f"{len(seen.odd_names)} names hold control characters and were not read: {odd}")
        if gaps:
            findings.skip(f"logs of {name}", "; ".join(gaps))
            because_of = ""
        else:
            findings.saw(name)
    if len(hosts) == len(settings.hosts):
        for log in limits.login_logs:
            if not any(log in seen.minutes for seen in hosts.values()):
                findings.skip(log, "no host writes it; mend [health.security] login_logs, or see why")
    # Our mark in a request is no secret: whoever borrows it to hide shows up as too many of our own.
    own_day, own_hour = (sum(getattr(seen, field) for seen in hosts.values()) for field in ("own_day", "own_hour"))
    day = sum(seen.day for seen in hosts.values()) + max(0, own_day - limits.own_probes_24h)
    hour = sum(seen.hour for seen in hosts.values()) + max(0, own_hour - limits.own_probes_24h)
    verdict = max(
        findings.measure("failed logins in the last hour", hour, "", limits.failed_logins_1h),
        findings.measure("failed logins in the last 24 h", day, "", limits.failed_logins_24h),
        key=lambda v: v.badness,
    )
    findings.measure("own probes left out", min(own_day, limits.own_probes_24h))
    sentence = f"{hour} failed logins in the last hour, {day} in the last 24 h."
    findings.found(verdict, sentence)
    ages = [age for seen in hosts.values() for age in seen.minutes.values() if age is not None]
    return findings.conclude(sentence, data_age_seconds=60 * max(ages, default=0.0), because_of=because_of)
