"""One scanner on one target: beside a planted canary, bounded in time and output, believed only with proof of a look.

What a scanner prints is a stranger's: size, encoding, JSON and shape are doubted here, and a doubt is UNKNOWN.
"""

import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from tdev_operators import __version__
from tdev_operators.core.commands import run
from tdev_operators.core.errors import GarbledAnswerError, InputError, sentence_of
from tdev_operators.core.ports import CommandOutput
from tdev_operators.core.reporting.escaping import one_line
from tdev_operators.core.reporting.wording import counted, moment
from tdev_operators.core.security.findings import Finding, Found, Severity
from tdev_operators.core.security.ledger import LastLook
from tdev_operators.core.verdicts import CheckResult, Coverage, Measurement, Verdict

TARGET, CANARY = "target", "tdev-canary"  # folders side by side
_MIB = 1024 * 1024
_COMPLAINT = 300  # characters
_SHOWN = 10

_log = logging.getLogger(__name__)

TargetKind = Literal["source", "image"]


@dataclass(frozen=True, slots=True)
class Target:
    """What is scanned. `revision` is the commit or digest that was fetched; `reference` names an image in a registry.

    `root` holds `target/` (a source tree, or the file `image.tar`) and room for the canary beside it.
    """

    name: str
    kind: TargetKind
    root: Path
    revision: str = ""
    reference: str = ""
    skipped: Mapping[str, str] = field(default_factory=dict)  # what could not be fetched with it

    @property
    def path(self) -> Path:
        """Where its files are."""
        return self.root / TARGET

    @property
    def canary(self) -> Path:
        """Where the planted files are."""
        return self.root / CANARY


@dataclass(frozen=True, slots=True)
class Limits:
    """What a scanner may take, and how old its data may be."""

    timeout_seconds: float
    report_mb: int
    data_days: float


@dataclass(slots=True)
class Ground:
    """What a scanner works with: where its data is kept between runs (`cache`), and what it may take.

    `folder` is a private folder of this one scan. `anew`: what is known from before does not count. `tool` and
    `data_at` (when its data was made) are filled in by the scanner.
    """

    folder: Path
    cache: Path
    limits: Limits
    environment: Mapping[str, str] = field(default_factory=dict)
    anew: bool = False
    tool: str = ""
    data_at: datetime | None = None

    def run(self, argv: Sequence[str], *, install: str, environment: Mapping[str, str] | None = None) -> CommandOutput:
        """Run a program of the scanner; its report goes into a file of `folder`, its streams are kept up to 1 MiB.

        Raises:
            InputError: it is not installed. TargetTimeoutError, CommandFailedError.
        """
        # What pip has installed beside us stands beside our Python, which need not be on a worker's PATH.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        return run(
            argv,
            timeout_seconds=self.limits.timeout_seconds,
            env={"PATH": path, **self.environment, **(environment or {})},
            install_hint=install,
        )

    def report(self, name: str) -> Any:
        """Return the JSON that a program has written into a file of `folder`.

        Raises:
            GarbledAnswerError: there is none, it is too large, cut off, or no UTF-8.
        """
        path = self.folder / name
        try:
            size = path.stat().st_size
            if size > self.limits.report_mb * _MIB:
                raise GarbledAnswerError(
                    f"Its report has {size / _MIB:,.0f} MiB, more than security.report_mb ({self.limits.report_mb}); "
                    "see what it reports, or raise that."
                )
            return json.loads(path.read_bytes())
        except FileNotFoundError:
            raise GarbledAnswerError("It has written no report.") from None
        except (ValueError, RecursionError) as error:
            raise GarbledAnswerError(f"Its report is no JSON ({type(error).__name__}); it may be cut off.") from None


@dataclass(frozen=True, slots=True)
class Scanner:
    """A scanner, registered by being a file of `scanners`.

    `scans` are the kinds of targets; `canary` are files to plant, by name, with what has to be found in them: rules by
    file. `learn` asks the program for its version and the age of its data; `work` runs it and returns what it found,
    paths relative to the target's root. A `live` one asks a service, whose data may be others each time.
    `keys` are the secrets that it gets, and nobody else.
    """

    name: str
    about: str
    scans: tuple[TargetKind, ...]
    install: str
    canary: Mapping[str, tuple[str, tuple[str, ...]]]
    learn: Callable[["Ground"], None]
    work: Callable[[Target, Ground], Found]
    live: bool = False
    keys: tuple[str, ...] = ()

    def basis(self, target: Target, ground: "Ground") -> str:
        """Return what a scan rests on; empty where that cannot be known. Two of the same find the same."""
        if self.live or not target.revision:
            return ""
        data = ground.data_at.isoformat() if ground.data_at else "none"
        return f"{__version__}; {target.revision}; {ground.tool}; data of {data}"


@dataclass(frozen=True, slots=True)
class Scan:
    """How one scan ended."""

    scanner: str
    target: str
    result: CheckResult
    findings: tuple[Finding, ...] = ()
    basis: str = ""

    @property
    def complete(self) -> bool:
        """Whether it looked at all of the target, so that what it no longer finds is gone."""
        return self.result.verdict is Verdict.OK


def plant(root: Path, scanners: Sequence[Scanner]) -> None:
    """Put the canaries of all scanners beside a target.

    Raises:
        InputError: there is something of that name already.
    """
    folder = root / CANARY
    try:
        folder.mkdir()
    except FileExistsError:
        raise InputError(f"{CANARY} stands beside the target already; fetch it into a new folder.") from None
    for scanner in scanners:
        for name, (text, _) in scanner.canary.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")


def scan(
    scanner: Scanner,
    target: Target,
    ground: Ground,
    now: datetime,
    before: Callable[[str], LastLook | None] = lambda _: None,
) -> Scan:
    """Run one scanner on one target; whatever goes wrong is an UNKNOWN result, and never an exception.

    `before` returns its last look when that rests on the same; it is not repeated then, and the result says so.
    """
    started = time.monotonic()
    check = f"scan.{scanner.name}"
    try:
        scanner.learn(ground)
        basis = scanner.basis(target, ground)
        if basis and not _is_old(ground, now) and (last := before(basis)) is not None:
            return _unchanged(scanner, target, last, ground, now)
        found = scanner.work(target, ground)
    except Exception as error:  # noqa: BLE001  the boundary: whatever a scanner does, the others go on
        why = sentence_of(error, scanner.name, _log)
        coverage = Coverage(skipped={target.name: "it was not scanned"}, tool=ground.tool)
        failed = CheckResult(check, Verdict.UNKNOWN, f"{target.name} was not scanned: {why}", coverage=coverage)
        return Scan(scanner.name, target.name, failed.timed(time.monotonic() - started))
    result = _told(scanner, target, ground, found, now)
    return Scan(
        scanner.name,
        target.name,
        result.timed(time.monotonic() - started),
        tuple(_of_target(found.findings)),
        basis=basis,
    )


def _unchanged(scanner: Scanner, target: Target, last: LastLook, ground: Ground, now: datetime) -> Scan:
    """Return what was said last: the same program would find the same by the same data in the same files."""
    said = CheckResult.from_json(last.result)
    age = (now - ground.data_at).total_seconds() if ground.data_at else 0.0
    result = replace(
        said,
        summary=f"{said.summary} Not scanned again: target, program and data are those of {moment(last.looked_at)}.",
        coverage=replace(said.coverage, data_age_seconds=age),
        duration_seconds=0.0,
    )
    return Scan(scanner.name, target.name, result, last.findings)


def _is_old(ground: Ground, now: datetime) -> bool:
    return ground.data_at is not None and now - ground.data_at > timedelta(days=ground.limits.data_days)


def _told(scanner: Scanner, target: Target, ground: Ground, found: Found, now: datetime) -> CheckResult:
    findings = _of_target(found.findings)
    missing = _not_found(scanner, found.findings)
    skipped = {one_line(name): one_line(why, _COMPLAINT) for name, why in {**target.skipped, **found.skipped}.items()}
    age = now - ground.data_at if ground.data_at is not None else timedelta()
    if ground.data_at is not None and _is_old(ground, now):
        skipped["its data"] = f"of {ground.data_at:%Y-%m-%d}, older than security.data_days"
    by_severity = {severity: sum(1 for one in findings if one.severity is severity) for severity in Severity}
    worst = ", ".join(f"{number} {severity.lower()}" for severity, number in by_severity.items() if number)
    revision = f" at {target.revision[:19]}" if target.revision else ""
    return CheckResult(
        f"scan.{scanner.name}",
        Verdict.OK,
        f"{target.name}{revision}: {counted(len(findings), 'finding')}{f' ({worst})' if worst else ''}.",
        measurements=(
            *(Measurement(severity.lower(), number) for severity, number in by_severity.items()),
            Measurement("looked at", len(found.seen)),
        ),
        coverage=Coverage(
            seen=(target.name,) if found.seen else (),
            skipped=dict(islice(skipped.items(), _SHOWN)),
            data_age_seconds=age.total_seconds(),
            tool=ground.tool,
            canary_found=not missing if scanner.canary else None,
        ),
        details=tuple(one_line(line) for line in (*(f"not found: {one}" for one in missing), *found.remarks[:_SHOWN])),
    )


def _of_target(findings: Sequence[Finding]) -> list[Finding]:
    return [_in_target(one) for one in findings if not one.path.startswith(f"{CANARY}/")]


def _in_target(one: Finding) -> Finding:
    return replace(one, path=one.path.removeprefix(f"{TARGET}/"))


def _not_found(scanner: Scanner, findings: Sequence[Finding]) -> list[str]:
    """Return which planted rules were not found in their files."""
    found = {(one.path, name) for one in findings for name in (one.rule, *one.aliases)}
    return [
        f"{rule} in {name}"
        for name, (_, rules) in scanner.canary.items()
        for rule in rules
        if (f"{CANARY}/{name}", rule) not in found
    ]


def complaint(output: CommandOutput) -> str:
    """Return what a program said last, as one harmless line."""
    lines = [line for line in (output.stderr or output.stdout).splitlines() if line.strip()]
    return one_line(lines[-1], _COMPLAINT) if lines else "it said nothing"


def version_of(output: CommandOutput, name: str) -> str:
    """Return the name and the first thing in a program's words that looks like a version."""
    found = re.search(r"\d+(?:\.\d+)+\S*", output.stdout or output.stderr)
    return f"{name} {found[0]}" if found else name


def moment_of(text: object) -> datetime | None:
    """Return a moment that a tool has written, aware; None when it is none."""
    try:
        # Go writes nanoseconds, Python reads microseconds.
        at = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", str(text)))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
