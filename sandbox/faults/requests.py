"""S3 requests as a rule can match them: operation, bucket, key."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import parse_qsl, unquote, urlsplit

from sandbox.faults.wire import Head

# (method, a parameter of the query that must be there) -> operation, for a key and for a bucket; the first that fits.
_OF_OBJECT = (
    ("PUT", "partNumber", "UploadPart"),
    ("PUT", "", "PutObject"),
    ("POST", "uploads", "CreateMultipartUpload"),
    ("POST", "uploadId", "CompleteMultipartUpload"),
    ("DELETE", "uploadId", "AbortMultipartUpload"),
    ("DELETE", "", "DeleteObject"),
    ("GET", "uploadId", "ListParts"),
    ("GET", "", "GetObject"),
    ("HEAD", "", "HeadObject"),
)
_OF_BUCKET = (
    ("GET", "uploads", "ListMultipartUploads"),
    ("GET", "list-type", "ListObjectsV2"),
    ("GET", "location", "GetBucketLocation"),
    ("GET", "versioning", "GetBucketVersioning"),
    ("GET", "", "ListObjects"),
    ("POST", "delete", "DeleteObjects"),
    ("PUT", "", "CreateBucket"),
    ("DELETE", "", "DeleteBucket"),
    ("HEAD", "", "HeadBucket"),
)


@dataclass(frozen=True)
class S3Request:
    """One request. `query` has its parameters decoded; `headers` are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]

    @classmethod
    def of(cls, head: Head) -> "S3Request":
        """Read the request line."""
        method, target, *_ = head.start.split(" ")
        return cls(method, target, head.headers)

    @cached_property
    def query(self) -> dict[str, str]:
        """The parameters of the query."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def bucket(self) -> str:
        """The bucket, of a request in path style; empty for the list of buckets."""
        return self._names[0]

    @property
    def key(self) -> str:
        """The object's key; empty for a request about a bucket."""
        return self._names[1]

    @cached_property
    def operation(self) -> str:
        """S3's name of what is asked, for example `UploadPart`; the method and a question mark for what is not known.

        The list of buckets is `ListBuckets`.
        """
        if not self.bucket:
            return "ListBuckets"
        table = _OF_OBJECT if self.key else _OF_BUCKET
        for method, parameter, name in table:
            if method == self.method and (not parameter or parameter in self.query):
                copies = "x-amz-copy-source" in self.headers
                return {"UploadPart": "UploadPartCopy", "PutObject": "CopyObject"}.get(name, name) if copies else name
        return f"{self.method}?"

    @cached_property
    def _names(self) -> tuple[str, str]:
        bucket, _, key = unquote(urlsplit(self.target).path.lstrip("/")).partition("/")
        return bucket, key


def asking(*operations: str, bucket: str = "", key: str = "") -> Callable[[S3Request], bool]:
    """Match requests of these operations (none: all), of this bucket, with a key in which this pattern is found."""
    pattern = re.compile(key)

    def matches(request: S3Request) -> bool:
        return (
            (not operations or request.operation in operations)
            and bucket in ("", request.bucket)
            and pattern.search(request.key) is not None
        )

    return matches
