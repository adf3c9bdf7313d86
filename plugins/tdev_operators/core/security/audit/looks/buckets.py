"""What guards the buckets: strangers, versions, encryption, transport, lifecycle, policy."""

from datetime import datetime

from tdev_operators.core.errors import TdevError
from tdev_operators.core.health.security.bucket_exposure import gap_of, lets_strangers_in
from tdev_operators.core.security.audit.looking import AuditPorts, BucketHouse, Looked
from tdev_operators.core.settings import Settings

AGAINST = "accepted"
HINT = (
    "Mend the bucket's settings; a store that cannot tell is switched off in [[out_of_scope]] by somebody who answers "
    "for it."
)


def look(ports: AuditPorts, settings: Settings, at: datetime) -> Looked:  # noqa: ARG001  as every look
    """Look at every bucket of the settings. CRITICAL: strangers may read. WARNING: a guard is missing."""
    looked = Looked()
    for bucket in dict.fromkeys([*settings.buckets.sources.values(), settings.buckets.backups]):
        try:
            exposure, house = ports.system.objects.exposure(bucket), ports.buckets.house(bucket)
        except TdevError as error:
            looked.skipped[bucket] = str(error)
            continue
        looked.seen.append(bucket)
        if gap := gap_of(exposure):
            looked.skipped[f"strangers at {bucket}"] = gap
        if lets_strangers_in(exposure):
            looked.alarm(f"Strangers may read {bucket}.")
        elif exposure.public_access_blocked is False:
            looked.warn(f"{bucket} does not block public access: one wrong policy opens it.")
        _judge(bucket, house, looked)
    return looked


def _judge(bucket: str, house: BucketHouse, looked: Looked) -> None:
    for what, value, sentence in (
        ("versioning", house.versioning, f"{bucket} keeps no versions: what is overwritten is gone."),
        ("encryption", house.encryption, f"{bucket} has no default encryption."),
        ("transport", house.transport, f"{bucket} takes requests without TLS; deny aws:SecureTransport = false."),
    ):
        if value is None:
            continue
        looked.facts.append(f"{bucket}: {what} {value if isinstance(value, str) and value else bool(value)}")
        if not value:
            looked.warn(sentence)
    for what, told in (
        ("versioning", house.versioning),
        ("encryption", house.encryption),
        ("policy", house.policy),
        ("lifecycle", house.lifecycle),
    ):
        if told is None:
            right = house.rights_missing.get(what, "")
            looked.skipped[f"{what} of {bucket}"] = f"it needs {right}" if right else "the store cannot tell"
    looked.facts += [f"{bucket}: lifecycle {line}" for line in house.lifecycle or ()]
    looked.facts += [f"{bucket}: policy {line}" for line in house.policy or ()]
