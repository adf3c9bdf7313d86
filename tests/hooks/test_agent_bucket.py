"""Replacing an object while others write it: what is handed back is ours, or it is theirs that stays."""

import hashlib
import io
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

from tdev_operators.core.errors import BusyError, GarbledAnswerError, ProofFailedError
from tdev_operators.hooks.agent_bucket import S3SourceBucket
from tdev_operators.hooks.connections import ConnectionFacts


class Store:
    """An object in a store, and what somebody else does to it behind the n-th call."""

    def __init__(self, *, between=None, heeds=True, lies=False):
        self.body, self.calls, self.between, self.heeds, self.lies = b"OLD", [], between or {}, heeds, lies

    def etag(self):
        return hashlib.md5(self.body, usedforsecurity=False).hexdigest()

    def _end(self, answer):
        if len(self.calls) in self.between:
            self.body = self.between[len(self.calls)]
        return answer

    def _facts(self):
        if self.body is None:
            raise ClientError({"Error": {"Code": "404"}, "ResponseMetadata": {"HTTPStatusCode": 404}}, "HeadObject")
        return {"ETag": f'"{self.etag()}"', "ContentLength": len(self.body), "LastModified": datetime.now(UTC)}

    def head_object(self, **_):
        self.calls.append("head")
        return self._end(self._facts())

    def get_object(self, **_):
        self.calls.append("get")
        return self._end({**self._facts(), "Body": io.BytesIO(b"?" if self.lies else self.body)})

    def put_object(self, Body, IfMatch=None, **_):  # noqa: N803  boto3's names
        self.calls.append("put")
        if IfMatch and not self.heeds:
            raise ClientError(
                {"Error": {"Code": "NotImplemented"}, "ResponseMetadata": {"HTTPStatusCode": 501}}, "PutObject"
            )
        if IfMatch and IfMatch.strip('"') != self.etag():
            raise ClientError(
                {"Error": {"Code": "PreconditionFailed"}, "ResponseMetadata": {"HTTPStatusCode": 412}}, "PutObject"
            )
        self.body = Body
        return self._end({"ETag": f'"{self.etag()}"'})


def replaced(store, **more):
    bucket = S3SourceBucket(ConnectionFacts("tdev_aws", "aws", extra={"region_name": "x"}))
    bucket._requests.ask = lambda _, work, **__: work(store)
    return bucket.replace("b", "k", b"NEW", etag=hashlib.md5(b"OLD", usedforsecurity=False).hexdigest(), **more)


def test_what_is_handed_back_is_what_was_written():
    assert replaced(Store(between={3: b"THEIRS"})).etag == hashlib.md5(b"NEW", usedforsecurity=False).hexdigest()


@pytest.mark.parametrize(
    ("call", "theirs"), [(1, b"THEIRS"), (2, b"THEIRS"), (2, None)], ids=["before ours", "after ours", "deleted"]
)
def test_what_somebody_else_did_meanwhile_stays(call, theirs):
    store = Store(between={call: theirs})
    with pytest.raises(BusyError):
        replaced(store)
    assert store.body == theirs


def test_another_body_under_our_own_etag_is_the_stores_fault():
    with pytest.raises(GarbledAnswerError, match="do not trust this store"):
        replaced(Store(lies=True))


def test_a_store_without_conditions_is_written_only_for_who_keeps_others_away():
    store = Store(heeds=False)
    with pytest.raises(ProofFailedError, match="takes no condition"):
        replaced(store)
    assert store.body == b"OLD"
    replaced(store, unconditional=True)
    assert store.body == b"NEW"
