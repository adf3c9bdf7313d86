"""Requests to an S3 store that wait out throttling and short faults, end in bounded time, and are counted by kind."""

import random
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from threading import Lock
from typing import Any, TypeVar

import botocore.exceptions as vendor
from botocore.exceptions import ClientError

from tdev_operators.core.errors import GarbledAnswerError, TargetTimeoutError
from tdev_operators.core.ports import ObjectInfo, utc_now
from tdev_operators.hooks.aws import aws_errors, code_of, endpoint_of, make_client, status_of
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.deadline import TimeUpError, within

T = TypeVar("T")

# How long a store may ask for patience, or be away, before a task gives up and leaves the rest to Airflow's retries.
PATIENCE_SECONDS = 60.0
# An ETag of this form is the MD5 of the content, unless a key of KMS encrypted it.
PLAIN_ETAG = re.compile(r"[0-9a-f]{32}")
RAW_LISTING = "RawListing"

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 10.0
# A body may take as long as this rate needs; slower is a drip, not a transfer.
_SLOWEST_BYTES_PER_SECOND = 128 * 1024
# A role's credentials live at least 15 minutes; a younger client that is refused is refused for another reason.
_RENEW_AFTER_SECONDS = 600.0
_WORTH_ANOTHER_TRY = frozenset({429, 500, 502, 503, 504})
# BadDigest: it was damaged on its way. RequestTimeout: the body stalled; S3 answers 400 to that. OperationAborted: two
# writes of one key met.
_WORTH_ANOTHER_TRY_CODES = frozenset({"SlowDown", "InternalError", "BadDigest", "RequestTimeout", "OperationAborted"})
# A HEAD has no body, so the store can say no more than the status.
_MAYBE_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "400", "403"})
_BILLED_AS = {
    "ListObjectsV2": "LIST",
    "ListMultipartUploads": "LIST",
    "GetObject": "GET",
    "HeadObject": "HEAD",
    "CopyObject": "COPY",
    "UploadPartCopy": "COPY",
    "DeleteObjects": "DELETE",
    "DeleteObject": "DELETE",
    "AbortMultipartUpload": "DELETE",
}


class S3Requests:
    """A client of botocore, made at its first use, with patience, a time limit and a count. Thread-safe.

    `connections` is how many threads may ask at the same time without waiting for each other's connection.
    """

    def __init__(
        self, facts: ConnectionFacts, *, timeout_seconds: float, patience_seconds: float, connections: int = 48
    ) -> None:
        self.facts = facts
        self.seconds = timeout_seconds
        self._patience = patience_seconds
        self._connections = connections
        self._client: Any = None
        self._made_at = 0.0
        self._lock = Lock()
        self._counts: Counter[str] = Counter()

    @property
    def counts(self) -> dict[str, int]:
        """Requests so far, retries included, by the kind that stores bill."""
        with self._lock:
            return dict(self._counts)

    def count(self, kind: str, number: int = 1) -> None:
        """Count requests that were made past this client."""
        with self._lock:
            self._counts[kind] += number

    @property
    def address(self) -> str:
        """Where the store is, for messages."""
        return endpoint_of(self.facts, "s3") or "AWS"

    def of_bucket(self, bucket: str) -> str:
        """Name a bucket as the beginning of a message."""
        return f"The bucket {bucket} at {self.address}"

    def of_object(self, bucket: str, key: str) -> str:
        """Name an object as the beginning of a message."""
        return f"The object {key} in the bucket {bucket} at {self.address}"

    def garbled(self, bucket: str, why: str) -> GarbledAnswerError:
        """Return the error for an answer that no S3 store gives."""
        return GarbledAnswerError(
            f"{self.of_bucket(bucket)} is not served as S3 serves it: {why}; mend the endpoint_url of the connection "
            f"{self.facts.conn_id} or the store behind it."
        )

    @property
    def client(self) -> Any:
        """The client itself."""
        with self._lock:
            if self._client is None:
                client = make_client(
                    self.facts, "s3", timeout_seconds=self.seconds, connections=self._connections, attempts=1
                )
                client.meta.events.register("before-send.s3", self._on_send)
                client.meta.events.register("before-parse.s3.ListObjectsV2", _keep_raw_listing)
                self._client, self._made_at = client, time.monotonic()
            return self._client

    def credentials(self) -> Any:
        """Return the access_key, secret_key and token that are valid now."""
        return self.client._get_credentials().get_frozen_credentials()  # noqa: SLF001 - there is no public way

    def ask(self, what: str, work: Callable[[Any], T], *, body_bytes: int = 0) -> T:
        """Do one request, again while the store throttles or has a fault of its own, and put errors into our words.

        `what` begins the message of an error. `body_bytes`, of the request or the answer, lengthen the time limit.

        Raises:
            TargetTimeoutError: an attempt hangs or drips; and all that `hooks.aws.aws_errors` raises.
        """
        # Connecting may take a quarter of `seconds` for each address of a name, and each silence half of them.
        limit = 2 * self.seconds + body_bytes / _SLOWEST_BYTES_PER_SECOND

        def attempt() -> T:
            client = self.client
            try:
                return within(limit, lambda: work(client))
            except ClientError as error:
                if code_of(error) not in _MAYBE_EXPIRED or not self._outdated(client):
                    raise
                return within(limit, lambda: work(self.client))

        with aws_errors(what, self.facts):
            try:
                return patiently(attempt, self._patience)
            except TimeUpError:
                raise TargetTimeoutError(
                    f"{what} was not served within {limit:.0f} s; see whether the store is slow or silent."
                ) from None

    def _outdated(self, client: Any) -> bool:
        """Forget a client whose credentials may have run out; False when it is too young for that."""
        with self._lock:
            if self._client is client:
                if time.monotonic() - self._made_at < _RENEW_AFTER_SECONDS:
                    return False
                self._client = None
            return True

    def _on_send(self, event_name: str, **_: Any) -> None:
        operation = event_name.rpartition(".")[2]
        self.count(
            _BILLED_AS.get(operation, "PUT" if operation.startswith(("Put", "Create", "Upload", "Complete")) else "GET")
        )


def info_of(key: str, answer: Mapping[str, Any]) -> ObjectInfo:
    """Return an object's facts from the answer to a HEAD or a GET."""
    try:
        return ObjectInfo(key, answer["ContentLength"], answer.get("ETag", "").strip('"'), answer["LastModified"])
    except KeyError as missing:
        raise GarbledAnswerError(
            f"The store's answer for the object {key} lacks {missing.args[0]}; mend the store or what stands before it."
        ) from None


def _keep_raw_listing(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    """Hand a listing on as it came: botocore takes a tenth of a second to parse a page."""
    if response_dict["status_code"] == HTTPStatus.OK:
        customized_response_dict[RAW_LISTING] = response_dict["body"]
        response_dict["body"] = b"<ListBucketResult/>"


def patiently(work: Callable[[], T], patience_seconds: float) -> T:
    """Do some work, again with back-off while it fails in ways that pass, for so long."""
    deadline = time.monotonic() + patience_seconds
    pause = _FIRST_PAUSE_SECONDS
    while True:
        wait = pause * random.uniform(0.5, 1.5)  # noqa: S311 - so that many do not come again at once
        try:
            return work()
        except ClientError as error:
            if status_of(error) not in _WORTH_ANOTHER_TRY and code_of(error) not in _WORTH_ANOTHER_TRY_CODES:
                raise
            wait = max(wait, _retry_after(error))
            if time.monotonic() + wait > deadline:
                raise
        except (vendor.ConnectionError, vendor.HTTPClientError, vendor.IncompleteReadError):
            if time.monotonic() + wait > deadline:
                raise
        time.sleep(wait)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _retry_after(error: ClientError) -> float:
    text = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after", "")
    try:
        return min(float(text), PATIENCE_SECONDS)
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(text) - utc_now()).total_seconds())
    except (ValueError, TypeError):
        return 0.0
