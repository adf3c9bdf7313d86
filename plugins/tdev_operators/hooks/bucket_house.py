"""What a bucket's owner set, as far as the store tells: implements `core.security.audit.looking.BucketInspector`."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from tdev_operators.core.errors import AccessDeniedError
from tdev_operators.core.security.audit.looking import BucketHouse
from tdev_operators.hooks.aws import aws_errors, endpoint_of, make_client
from tdev_operators.hooks.bucket_protection import setting_of
from tdev_operators.hooks.connections import ConnectionFacts

T = TypeVar("T")

_SECONDS = 20.0
_NOT_OFFERED = (400, 404, 405, 501)
_RIGHTS = {
    "policy": "s3:GetBucketPolicy",
    "lifecycle": "s3:GetLifecycleConfiguration",
    "versioning": "s3:GetBucketVersioning",
    "encryption": "s3:GetEncryptionConfiguration",
}


class S3BucketInspector:
    """Asks the store of `tdev_aws`. A small store, which does not know a question, cannot tell: that is None."""

    def __init__(self, facts: ConnectionFacts) -> None:
        self._facts = facts

    def house(self, bucket: str) -> BucketHouse:
        """See `BucketInspector.house`."""
        client: Any = make_client(self._facts, "s3", timeout_seconds=_SECONDS)
        missing: dict[str, str] = {}

        def told(what: str, work: Callable[[], T], *, nothing: str = "", otherwise: T | None = None) -> T | None:
            place = endpoint_of(self._facts, "s3") or "AWS S3"
            try:
                with aws_errors(f"The object store at {place}", self._facts):
                    return setting_of(work, nothing=nothing, otherwise=otherwise, not_offered=_NOT_OFFERED)
            except AccessDeniedError:
                missing[what] = _RIGHTS[what]
                return None

        no_policy: dict[str, Any] = {}
        policy = told(
            "policy",
            lambda: _policy(client.get_bucket_policy(Bucket=bucket)["Policy"]),
            nothing="NoSuchBucketPolicy",
            otherwise=no_policy,
        )
        rules: list[Mapping[str, Any]] | None = told(
            "lifecycle",
            lambda: client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"],
            nothing="NoSuchLifecycleConfiguration",
            otherwise=[],
        )
        return BucketHouse(
            versioning=told(
                "versioning",
                lambda: bool(client.get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled"),
            ),
            encryption=told(
                "encryption",
                lambda: _encryption(client.get_bucket_encryption(Bucket=bucket)),
                nothing="ServerSideEncryptionConfigurationNotFoundError",
                otherwise="",
            ),
            transport=None if policy is None else any(_wants_tls(one, bucket) for one in _statements(policy)),
            policy=None if policy is None else sorted(_line(one) for one in _statements(policy)),
            lifecycle=None if rules is None else sorted(_line(one) for one in rules),
            rights_missing=missing,
        )


def _policy(text: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(text)
    except ValueError:
        raise KeyError("Policy") from None  # a small store's answer to another question
    return found


def _encryption(answer: Mapping[str, Any]) -> str:
    rules = answer["ServerSideEncryptionConfiguration"]["Rules"]
    return ", ".join(str(one["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"]) for one in rules)


def _statements(policy: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    found = policy.get("Statement", ())
    yield from (found,) if isinstance(found, Mapping) else found


def _wants_tls(statement: Mapping[str, Any], bucket: str) -> bool:
    """Whether it refuses everybody who comes without TLS, whatever he wants (AWS: `s3-bucket-ssl-requests-only`)."""
    secure = str(statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport", "")).lower() == "false"
    nothing_else = {kind: len(keys) for kind, keys in statement.get("Condition", {}).items()} == {"Bool": 1}
    everybody = statement.get("Principal") in ("*", {"AWS": "*"}, {"AWS": ["*"]})
    everything = bool({"*", "s3:*"} & set(_listed(statement.get("Action"))))
    resources = {str(one).rpartition(":")[2] for one in _listed(statement.get("Resource"))}
    everywhere = "*" in resources or {bucket, f"{bucket}/*"} <= resources
    return statement.get("Effect") == "Deny" and secure and nothing_else and everybody and everything and everywhere


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]


def _line(fact: Mapping[str, Any]) -> str:
    """Return a statement or rule as one line. Values of conditions are digests: some people keep secrets in them."""
    conditions = fact.get("Condition")
    if isinstance(conditions, Mapping):
        told = json.dumps(conditions, sort_keys=True, default=str)
        keys = sorted(str(key) for by in conditions.values() if isinstance(by, Mapping) for key in by)
        fact = {**fact, "Condition": f"{', '.join(keys)} ({hashlib.sha256(told.encode()).hexdigest()[:12]})"}
    return json.dumps(fact, sort_keys=True, default=str)
