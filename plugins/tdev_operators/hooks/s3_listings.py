"""Listings of an S3 store, parsed here: botocore takes a tenth of a second a page for that."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus
from xml.etree.ElementTree import ParseError, fromstring

from botocore.exceptions import ClientError

from tdev_operators.core.backup.ports import OpenUpload
from tdev_operators.core.ports import ObjectInfo
from tdev_operators.hooks.aws import code_of
from tdev_operators.hooks.s3_requests import RAW_LISTING, S3Requests


def list_objects(requests: S3Requests, bucket: str, prefix: str, after: str) -> Iterator[ObjectInfo]:
    """See `core.backup.ports.BackupStore.list`. A listing that is out of order is a GarbledAnswerError."""
    token, last = "", after
    while True:
        page = _page(requests, bucket, prefix, after, token)
        encoded = _text(page, "EncodingType") == "url"  # small stores ignore that we asked for it
        space = _space(page)
        for entry in page.iter(f"{space}Contents"):
            try:
                info = _listed(entry, len(space), encoded=encoded)
            except (KeyError, ValueError):
                raise requests.garbled(bucket, "an entry of its listing lacks key, size or time") from None
            if info.key <= after and after:
                continue  # a store that ignores where we asked it to begin
            # Code points have the order of their UTF-8 bytes.
            if info.key <= last and last:
                raise requests.garbled(bucket, f"its listing has {info.key} behind {last}")
            last = info.key
            yield info
        truncated = _text(page, "IsTruncated")
        if truncated == "false":
            return
        before, token = token, _text(page, "NextContinuationToken")
        if truncated != "true" or token in ("", before):
            raise requests.garbled(bucket, "its listing leads nowhere")


def list_uploads(requests: S3Requests, bucket: str, prefix: str) -> Iterator[OpenUpload]:
    """See `core.backup.ports.BackupStore.open_uploads`."""
    markers: dict[str, str] = {}
    while True:
        page = requests.ask(
            requests.of_bucket(bucket),
            lambda s3, markers=markers: _uploads(s3, Bucket=bucket, Prefix=prefix, **markers),  # type: ignore[misc]
        )
        for entry in page.get("Uploads", ()):
            if entry["Key"].startswith(prefix):  # small stores ignore the prefix
                yield OpenUpload(entry["Key"], entry["UploadId"], entry["Initiated"])
        if not page.get("IsTruncated"):
            return
        before = markers
        markers = {"KeyMarker": page.get("NextKeyMarker", ""), "UploadIdMarker": page.get("NextUploadIdMarker", "")}
        if markers == before or not markers["KeyMarker"]:
            raise requests.garbled(bucket, "its listing of uploads leads nowhere")


def _page(requests: S3Requests, bucket: str, prefix: str, after: str, token: str) -> Any:
    request = {"Bucket": bucket, "Prefix": prefix, "EncodingType": "url"}  # keys with any character survive XML
    if token:
        request["ContinuationToken"] = token
    elif after:
        request["StartAfter"] = after
    answer = requests.ask(requests.of_bucket(bucket), lambda s3: s3.list_objects_v2(**request))
    try:
        root: Any = fromstring(answer.get(RAW_LISTING, b""))  # noqa: S314 - expat expands no external entity
    except ParseError:
        root = None
    if root is None or not root.tag.endswith("ListBucketResult"):
        raise requests.garbled(bucket, "its answer is no listing")
    return root


def _listed(entry: Any, space: int, *, encoded: bool) -> ObjectInfo:
    facts = {child.tag[space:]: child.text or "" for child in entry}
    key = unquote_plus(facts["Key"]) if encoded else facts["Key"]
    modified = datetime.fromisoformat(facts["LastModified"]).astimezone(UTC)
    return ObjectInfo(key, int(facts["Size"]), facts.get("ETag", "").strip('"'), modified)


def _uploads(s3: Any, **request: str) -> Any:
    try:
        return s3.list_multipart_uploads(**request)
    except ClientError as error:
        if code_of(error) == "NoSuchUpload":  # how small stores say that there is none
            return {}
        raise


def _space(element: Any) -> str:
    return element.tag[: element.tag.index("}") + 1] if element.tag.startswith("{") else ""


def _text(element: Any, name: str) -> str:
    return str(element.findtext(f"{_space(element)}{name}") or "")
