"""Implements `core.agents.ports.SourceBucket`: an object is written only over the one that was read."""

import secrets
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from botocore.exceptions import ClientError

from tdev_operators.core.errors import BusyError, GarbledAnswerError, ProofFailedError, TdevError
from tdev_operators.core.ports import ObjectInfo
from tdev_operators.hooks.aws import code_of, status_of
from tdev_operators.hooks.backup_uploads import put_checked
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.s3_requests import PATIENCE_SECONDS, S3Requests, info_of

_REFUSED = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "409", "412"})
_NOT_OFFERED = (400, 403, 404, 405, 501)
_GONE = frozenset({"NoSuchKey", "404"})
# What an object says of itself, and must say afterwards.
_HEADERS = ("CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType", "Metadata")


class S3SourceBucket:
    """Opens nothing before the first call. Thread-safe."""

    def __init__(self, facts: ConnectionFacts, *, timeout_seconds: float = 30.0) -> None:
        self._requests = S3Requests(facts, timeout_seconds=timeout_seconds, patience_seconds=PATIENCE_SECONDS)
        self._quoted = True  # as HTTP has it; some gateways refuse that for every ETag, and take it bare

    def __repr__(self) -> str:
        return f"S3SourceBucket({self._requests.facts!r})"

    def heeds_conditions(self, bucket: str, prefix: str) -> bool:
        """See `SourceBucket.heeds_conditions`. Believed by effect: a wrong ETag writes nothing, the right one does."""
        for quoted in (True, False):
            self._quoted = quoted
            if self._heeds(bucket, prefix):
                return True
        self._quoted = True
        return False

    def _heeds(self, bucket: str, prefix: str) -> bool:
        what, place = (
            self._requests.of_bucket(bucket),
            {"Bucket": bucket, "Key": f"{prefix}probe-{secrets.token_hex(6)}"},
        )

        def write(s3: Any, body: bytes, etag: str) -> bool:
            try:
                s3.put_object(Body=body, IfMatch=self._condition(etag), **place)
            except ClientError as error:
                if code_of(error) in _REFUSED or status_of(error) in _NOT_OFFERED:
                    return False
                raise
            return True

        first = self._requests.ask(what, lambda s3: str(s3.put_object(Body=b"1", **place)["ETag"]).strip('"'))
        try:
            refused = not self._requests.ask(what, lambda s3: write(s3, b"2", "0" * 32))
            kept = self._requests.ask(what, lambda s3: bool(s3.get_object(**place)["Body"].read() == b"1"))
            written = self._requests.ask(what, lambda s3: write(s3, b"3", first))
            held = self._requests.ask(what, lambda s3: bool(s3.get_object(**place)["Body"].read() == b"3"))
            return refused and kept and written and held
        finally:
            with suppress(TdevError):
                self._requests.ask(what, lambda s3: s3.delete_object(**place))

    def replace(self, bucket: str, key: str, body: bytes, *, etag: str, unconditional: bool = False) -> ObjectInfo:
        """See `SourceBucket.replace`."""
        what, place = self._requests.of_object(bucket, key), {"Bucket": bucket, "Key": key}

        def look(s3: Any) -> Any:
            try:
                return s3.head_object(**place)
            except ClientError as error:
                if code_of(error) in _GONE:
                    return None
                raise

        there = self._requests.ask(what, look)
        if there is None or info_of(key, there).etag != etag:
            raise _changed(what)
        headers = {name: there[name] for name in _HEADERS if there.get(name)}
        condition = {} if unconditional else {"IfMatch": self._condition(etag)}
        written = self._write(what, body, {**place, **headers, **condition})

        def read(s3: Any) -> tuple[ObjectInfo, bytes]:
            try:
                answer = s3.get_object(**place)
            except ClientError as error:
                if code_of(error) in _GONE:
                    raise _changed(what) from None
                raise
            return info_of(key, answer), bytes(answer["Body"].read())

        found, stored = self._requests.ask(what, read)
        # One answer holds both: another ETag than that of our own PUT is somebody else's object, which is not ours to
        # judge, let alone to write over.
        if written and found.etag != written:
            raise _changed(what)
        if stored != body:
            raise GarbledAnswerError(f"{what} is not what was written there; do not trust this store.")
        return found

    def _write(self, what: str, body: bytes, request: dict[str, Any]) -> str:
        """Write, and return the ETag of what is ours now."""
        tries = 0

        def write(s3: Any) -> str:
            nonlocal tries
            tries += 1
            try:
                return put_checked(s3, what, body, "put_object", **request)
            except ClientError as error:
                if status_of(error) == HTTPStatus.NOT_IMPLEMENTED and "IfMatch" in request:
                    raise ProofFailedError(f"{what} stays as it is: the store takes no condition.") from None
                if code_of(error) not in _REFUSED:
                    raise
                # Of a try whose answer was lost, what stands there now is ours.
                if tries > 1:
                    answer = s3.get_object(Bucket=request["Bucket"], Key=request["Key"])
                    if answer["Body"].read() == body:
                        return str(answer.get("ETag", "")).strip('"')
                raise _changed(what) from None

        return self._requests.ask(what, write, body_bytes=len(body))

    def _condition(self, etag: str) -> str:
        return f'"{etag}"' if self._quoted else etag


def _changed(what: str) -> BusyError:
    return BusyError(f"{what} is another one than was read; it stays as it is.")
