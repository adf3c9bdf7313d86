"""The software in every target, as a bill of materials (CycloneDX), against that of a week ago."""

import json
from datetime import datetime
from pathlib import Path

from tdev_operators.core.errors import CommandFailedError, GarbledAnswerError, InputError, TdevError
from tdev_operators.core.private_folders import private_folder
from tdev_operators.core.security import trivy
from tdev_operators.core.security.audit.looking import AuditPorts, Looked
from tdev_operators.core.security.fetching import Sources, fetch
from tdev_operators.core.security.scanning import Ground, Limits, Target, complaint
from tdev_operators.core.security.settings import ScanTarget
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import Measurement

AGAINST = "last week"
HINT = "See in the target's history who brought what is new; the bills stand in the backups bucket, below sbom/."


def look(ports: AuditPorts, settings: Settings, at: datetime) -> Looked:
    """Return a line for each package of each target, and keep its bill of materials in the backups bucket."""
    looked = Looked()
    for wanted in settings.security.targets:
        try:
            bill = _bill_of(wanted, ports, settings)
            parts = sorted(_parts_of(bill))
        except TdevError as error:
            looked.skipped[wanted.name] = str(error)
            continue
        if not parts:
            looked.skipped[wanted.name] = "trivy found no package in it"
            continue
        looked.seen.append(wanted.name)
        looked.facts += [f"{wanted.name}: {part}" for part in parts]
        looked.figures.append(Measurement(f"packages of {wanted.name}", len(parts)))
        key = f"{settings.system.name}/sbom/{at:%Y-%m-%d}/{wanted.name.replace(' ', '-').replace('/', '-')}.cdx.json"
        ports.store.put(settings.buckets.backups, key, bill)
    if not settings.security.targets:
        looked.skipped["targets"] = "there is none in [[security.targets]]"
    return looked


def _bill_of(wanted: ScanTarget, ports: AuditPorts, settings: Settings) -> bytes:
    rules = settings.security
    with private_folder() as root, private_folder() as folder:
        sources = Sources(ports.store, ports.system.hosts)
        target = fetch(wanted, root, sources, timeout_seconds=rules.timeout_seconds, target_mb=rules.target_mb)
        ground = Ground(folder, folder / "cache", Limits(rules.timeout_seconds, rules.report_mb, rules.data_days))
        return _bill(target, ground)


def _bill(target: Target, ground: Ground) -> bytes:
    if target.kind == "source":
        what = ["fs", str(target.path)]
    else:
        what = ["image", target.reference] if target.reference else ["image", "--input", str(target.path / "image.tar")]
    file = Path(ground.folder) / "bill.json"
    output = ground.run(
        [
            *("trivy", *what[:1], "--format", "cyclonedx", "--output", str(file), "--cache-dir", str(ground.cache)),
            *(
                "--skip-version-check",
                "--disable-telemetry",
                "--skip-db-update",
                "--skip-java-db-update",
                "--offline-scan",
            ),
            *("--no-progress", *what[1:]),
        ],
        install=trivy.INSTALL,
    )
    if output.exit_status != 0:
        raise CommandFailedError(f"trivy ended with {output.exit_status}: {complaint(output)}")
    try:
        size = file.stat().st_size
        if size > ground.limits.report_mb * 1024 * 1024:
            raise InputError("its bill of materials is larger than security.report_mb; raise that.")
        return file.read_bytes()
    except OSError:
        raise GarbledAnswerError("trivy has written no bill of materials.") from None


def _parts_of(bill: bytes) -> set[str]:
    try:
        parts = json.loads(bill).get("components", ())
        return {str(part["purl"]) for part in parts if part.get("purl")}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise GarbledAnswerError("trivy's bill of materials is no CycloneDX.") from None
