"""What guards the backups bucket against those who hold its key, and against its own rules."""

from tdev_operators.core.backup.ports import BackupStore, Protection
from tdev_operators.core.backup.set_ids import root_of
from tdev_operators.core.verdicts import CheckResult, Coverage, Verdict

CHECK = "backup.protection"


def check_protection(store: BackupStore, bucket: str, system: str) -> CheckResult:
    """Look at the bucket's guards: CRITICAL when a lifecycle rule would expire sets.

    Raises:
        TdevError: the store cannot be asked.
    """
    return judge_protection(store.protection(bucket, root_of(system)), bucket)


def judge_protection(found: Protection, bucket: str) -> CheckResult:
    """Say what protection is in force, and how bad it is that some is not.

    A store that cannot tell its lifecycle rules, and a bucket in which the holder of the key can destroy everything,
    are WARNINGs: such stores exist, and their users must know.
    """
    coverage = Coverage(seen=(bucket,))
    in_force = _in_force(found)
    if found.expiring_rules:
        rules = ", ".join(found.expiring_rules)
        return CheckResult(
            CHECK,
            Verdict.CRITICAL,
            f"The bucket {bucket} expires back-ups by itself: lifecycle rule {rules}. {in_force}",
            hint="Remove the rule or give it a prefix outside of ours; retention is [backup.keep] and nothing else.",
            coverage=coverage,
        )
    if found.expiring_rules is None:
        return CheckResult(
            CHECK,
            Verdict.WARNING,
            f"The store does not tell whether a rule of the bucket {bucket} expires back-ups. {in_force}",
            hint="Grant s3:GetLifecycleConfiguration; where the store has no such rules, nothing is to be done.",
            coverage=coverage,
        )
    if not (found.versioning or found.object_lock):
        return CheckResult(
            CHECK,
            Verdict.WARNING,
            f"Whoever holds the key of the bucket {bucket} can destroy every back-up. {in_force}",
            hint="Turn on versioning or, better, Object Lock; keep a copy under another account.",
            coverage=coverage,
        )
    return CheckResult(
        CHECK, Verdict.OK, f"No rule of the bucket {bucket} expires back-ups. {in_force}", coverage=coverage
    )


def _in_force(found: Protection) -> str:
    guards = (
        ("versioning", found.versioning),
        ("Object Lock", found.object_lock),
        ("conditional writes", found.conditional_writes),
    )
    words = {True: "yes", False: "no", None: "the store cannot tell"}
    return "In force: " + ", ".join(f"{name} {words[value]}" for name, value in guards) + "."
