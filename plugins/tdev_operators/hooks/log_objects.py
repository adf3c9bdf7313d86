"""Logs in an S3-compatible store: listed, and streamed with breaks mended."""

from collections.abc import Iterator

from tdev_operators.core.ports import ObjectInfo
from tdev_operators.hooks.connections import ConnectionFacts
from tdev_operators.hooks.object_store import S3Store
from tdev_operators.hooks.resumed_reads import read_resumed
from tdev_operators.hooks.s3_requests import PATIENCE_SECONDS, S3Requests

_SECONDS = 20.0
_CONNECTIONS = 8


class StoredLogs:
    """Implements `core.logs.ports.LogObjects`. Rights: `s3:ListBucket`, `s3:GetObject` on the sources' buckets."""

    def __init__(self, facts: ConnectionFacts) -> None:
        self._store = S3Store(facts, timeout_seconds=_SECONDS)
        self._requests = S3Requests(
            facts, timeout_seconds=_SECONDS, patience_seconds=PATIENCE_SECONDS, connections=_CONNECTIONS
        )

    def list(self, bucket: str, prefix: str = "") -> Iterator[ObjectInfo]:
        """See `LogObjects.list`."""
        return self._store.list(bucket, prefix)

    def stream(self, bucket: str, key: str, etag: str) -> Iterator[bytes]:
        """See `LogObjects.stream`."""
        return read_resumed(self._requests, bucket, key, etag=etag)
