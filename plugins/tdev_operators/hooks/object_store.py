"""An S3-compatible store through botocore."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Lock
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from tdev_operators.core.errors import AccessDeniedError, GarbledAnswerError, InputError, TargetTimeoutError
from tdev_operators.core.ports import BucketExposure, ObjectInfo
from tdev_operators.hooks.aws import aws_errors, code_of, endpoint_of, make_client, status_of
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.deadline import TimeUpError, within
from tdev_operators.hooks.outages import OutageMemory

T = TypeVar("T")

_CHUNK_BYTES = 256 * 1024
# A large object may take longer than a small question: so much each second is asked of the line.
_SLOWEST_BYTES_PER_SECOND = 512 * 1024
_NOT_SUPPORTED = frozenset({"NotImplemented", "MethodNotAllowed"})
_NOT_SUPPORTED_STATUS = (405, 501)
_STRANGERS = ("/groups/global/AllUsers", "/groups/global/AuthenticatedUsers")


class S3Store:
    """Implements `ports.ObjectStore`. Opens nothing before the first call; `timeout_seconds` bounds each request."""

    def __init__(self, facts: ConnectionFacts, *, timeout_seconds: float = 10.0) -> None:
        self._facts = facts
        self._seconds = timeout_seconds
        self._clients: dict[bool, Any] = {}
        self._lock = Lock()
        self.memory = OutageMemory()

    def __repr__(self) -> str:
        return f"S3Store({self._facts!r})"

    def list(self, bucket: str, prefix: str = "") -> Iterator[ObjectInfo]:
        """See `ports.ObjectStore.list`."""
        where, token = self._bucket(bucket), ""
        while True:
            page = self._page(where, Bucket=bucket, Prefix=prefix, **({"ContinuationToken": token} if token else {}))
            if "IsTruncated" not in page:
                raise self._garbled(where, "its answer is no listing")
            for entry in page.get("Contents", ()):
                yield ObjectInfo(entry["Key"], entry["Size"], entry.get("ETag", "").strip('"'), entry["LastModified"])
            if not page["IsTruncated"]:
                return
            before, token = token, page.get("NextContinuationToken", "")
            if token in ("", before):
                raise self._garbled(where, "its listing leads nowhere")

    def read(self, bucket: str, key: str, *, max_bytes: int) -> bytes:
        """See `ports.ObjectStore.read`."""

        def work(s3: Any) -> bytes:
            answer = s3.get_object(Bucket=bucket, Key=key)
            with closing(answer["Body"]) as body:
                if answer["ContentLength"] > max_bytes:
                    raise InputError(
                        f"{self._object(bucket, key)} has {answer['ContentLength']} bytes, more than the {max_bytes} "
                        "that are read here; raise the limit or see what was stored."
                    )
                return b"".join(body.iter_chunks(_CHUNK_BYTES))

        return self._ask(self._object(bucket, key), work, max_bytes / _SLOWEST_BYTES_PER_SECOND)

    def write(self, bucket: str, key: str, body: bytes, *, content_type: str = "application/octet-stream") -> None:
        """See `ports.ObjectStore.write`."""
        self._ask(
            self._object(bucket, key),
            lambda s3: s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type),
            len(body) / _SLOWEST_BYTES_PER_SECOND,
        )

    def delete(self, bucket: str, key: str) -> None:
        """See `ports.ObjectStore.delete`."""

        def work(s3: Any) -> None:
            try:
                s3.delete_object(Bucket=bucket, Key=key)
            except ClientError as error:
                if code_of(error) != "NoSuchKey":
                    raise

        self._ask(self._object(bucket, key), work)

    def exposure(self, bucket: str) -> BucketExposure:
        """See `ports.ObjectStore.exposure`. `anonymous_read_status` is that of the bucket's first object."""
        where = self._bucket(bucket)
        first = next(self.list(bucket), None)
        missing: set[str] = set()
        return BucketExposure(
            anonymous_list_status=self._stranger(where, lambda s3: s3.list_objects_v2(Bucket=bucket, MaxKeys=1)),
            anonymous_read_status=None
            if first is None
            else self._stranger(where, lambda s3: s3.head_object(Bucket=bucket, Key=first.key)),
            policy_is_public=self._told(
                where,
                "s3:GetBucketPolicyStatus",
                missing,
                lambda s3: s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"],
                nothing="NoSuchBucketPolicy",
            ),
            acl_grants_public=self._told(
                where,
                "s3:GetBucketAcl",
                missing,
                lambda s3: any(
                    grant["Grantee"].get("URI", "").endswith(_STRANGERS)
                    for grant in s3.get_bucket_acl(Bucket=bucket)["Grants"]
                ),
            ),
            public_access_blocked=self._told(
                where,
                "s3:GetBucketPublicAccessBlock",
                missing,
                lambda s3: all(
                    s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"][switch]
                    for switch in ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
                ),
                nothing="NoSuchPublicAccessBlockConfiguration",
            ),
            rights_missing=tuple(sorted(missing)),
        )

    def server_time(self) -> datetime:
        """See `ports.ObjectStore.server_time`. A refusal bears the date, too, so no right is needed."""

        def work(s3: Any) -> dict[str, Any]:
            try:
                answer = s3.list_buckets()
            except ClientError as error:
                answer = error.response
            return dict(answer["ResponseMetadata"])

        stamp = self._ask(self._name, work).get("HTTPHeaders", {}).get("date", "")
        try:
            return parsedate_to_datetime(stamp).astimezone(UTC)
        except ValueError:
            raise self._garbled(self._name, "its answer bears no date") from None

    @property
    def _name(self) -> str:
        return f"The object store at {self._address}"

    @property
    def _address(self) -> str:
        return endpoint_of(self._facts, "s3") or "AWS"

    def _bucket(self, bucket: str) -> str:
        return f"The bucket {bucket} at {self._address}"

    def _object(self, bucket: str, key: str) -> str:
        return f"The object {key} in the bucket {bucket} at {self._address}"

    def _garbled(self, where: str, why: str) -> GarbledAnswerError:
        return GarbledAnswerError(
            f"{where} is not served as S3 serves it: {why}; mend the endpoint_url of the connection "
            f"{self._facts.conn_id} or the store behind it."
        )

    def _client(self, *, signed: bool = True) -> Any:
        with self._lock:
            if signed not in self._clients:
                self._clients[signed] = make_client(self._facts, "s3", timeout_seconds=self._seconds, signed=signed)
            return self._clients[signed]

    def _ask(self, what: str, work: Callable[[Any], T], more_seconds: float = 0.0, *, signed: bool = True) -> T:
        limit = self._seconds + more_seconds
        with self.memory.attempt(), aws_errors(what, self._facts):
            try:
                return within(limit, lambda: work(self._client(signed=signed)))
            except TimeUpError:
                raise TargetTimeoutError(
                    f"{what} was not served within {limit:g} s; see whether the store is slow or silent."
                ) from None

    def _page(self, where: str, **request: str) -> dict[str, Any]:
        return self._ask(where, lambda s3: dict(s3.list_objects_v2(**request)))

    def _stranger(self, where: str, work: Callable[[Any], Any]) -> int:
        def status(s3: Any) -> int:
            try:
                return int(work(s3)["ResponseMetadata"]["HTTPStatusCode"])
            except ClientError as error:
                return status_of(error)

        return self._ask(where, status, signed=False)

    def _told(
        self, where: str, right: str, missing: set[str], work: Callable[[Any], bool], *, nothing: str = ""
    ) -> bool | None:
        """Return the store's answer; False when it says that there is nothing set, `None` when it cannot tell.

        When we may not ask it is `None`, too, and the right is noted as missing.
        """

        def answer(s3: Any) -> bool | None:
            try:
                return work(s3)
            except KeyError:  # it took the question for another one, as small stores do
                return None
            except ClientError as error:
                code = code_of(error)
                if code == nothing:
                    return False
                if code in _NOT_SUPPORTED or status_of(error) in _NOT_SUPPORTED_STATUS:
                    return None
                raise

        try:
            return self._ask(where, answer)
        except AccessDeniedError:
            missing.add(right)
            return None
