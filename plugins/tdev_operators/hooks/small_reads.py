"""Many small objects, read concurrently through obstore: a third of botocore's CPU for each."""

import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from threading import Lock
from typing import Any

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import S3Store

from tdev_operators.core.errors import InputError, TdevError
from tdev_operators.core.ports import ObjectInfo
from tdev_operators.hooks.aws import endpoint_of
from tdev_operators.hooks.s3_requests import S3Requests

# obstore drops empty segments and refuses dots and control characters, so such keys go another way.
_NOT_EXPRESSIBLE = re.compile(r"^/|/$|//|(^|/)\.{1,2}(/|$)|[\x00-\x1f\x7f-\x9f]|^$")

_MOST = 64
_LEAST = 4
_IN_FLIGHT_BYTES = 64 * 1024 * 1024
# Each of these was tried again for as long as our patience lasts: the store is away, and a million more would be too.
_HOPELESS = 16


class SmallReads:
    """Reads small objects of one connection. `other_way` reads what obstore cannot express or could not read."""

    def __init__(
        self,
        requests: S3Requests,
        *,
        virtual_hosts: bool,
        other_way: Callable[[str, ObjectInfo], tuple[ObjectInfo, bytes]],
    ) -> None:
        self._requests, self._virtual_hosts, self._other_way = requests, virtual_hosts, other_way
        self._stores: dict[str, tuple[Any, S3Store]] = {}
        self._lock = Lock()
        # obstore takes no file with a CA of our own, which plain HTTP does not ask for.
        own_ca = isinstance(requests.facts.extra.get("verify"), str) or any(
            os.environ.get(name) for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
        )
        self._speaks_obstore = not own_ca or (endpoint_of(requests.facts, "s3") or "").startswith("http://")

    def read(self, bucket: str, wanted: Iterable[ObjectInfo]) -> Iterator[tuple[ObjectInfo, bytes | TdevError]]:
        """See `core.backup.ports.BackupStore.read_many`.

        Raises:
            ThrottledError, TargetUnreachableError, TargetTimeoutError: of many objects in a row none could be read.
        """
        window, in_flight, failed = float(_MOST), 0, 0
        waiting: deque[tuple[ObjectInfo, Future[tuple[ObjectInfo, bytes, bool]]]] = deque()
        pool = ThreadPoolExecutor(_MOST, thread_name_prefix="tdev-small-reads")

        def oldest() -> tuple[ObjectInfo, bytes | TdevError]:
            nonlocal window, in_flight, failed
            info, future = waiting.popleft()
            in_flight -= info.size_bytes
            try:
                found, body, smooth = future.result()
            except TdevError as error:
                failed = failed + 1 if error.retryable else 0
                if failed >= _HOPELESS:
                    raise
                window = max(_LEAST, window / 2) if error.retryable else window
                return info, error
            failed = 0
            # Additive increase, multiplicative decrease: a store that throttles soon sees fewer at once.
            window = min(_MOST, window + 1 / 32) if smooth else max(_LEAST, window / 2)
            return found, body

        try:
            for info in wanted:
                waiting.append((info, pool.submit(self._one, bucket, info)))
                in_flight += info.size_bytes
                while len(waiting) >= window or in_flight > _IN_FLIGHT_BYTES:
                    yield oldest()
            while waiting:
                yield oldest()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _one(self, bucket: str, info: ObjectInfo) -> tuple[ObjectInfo, bytes, bool]:
        """Return the object as it is now, and whether it went smoothly."""
        if not self._speaks_obstore or _NOT_EXPRESSIBLE.search(info.key):
            return *self._other_way(bucket, info), True
        self._requests.count("GET")
        try:
            answer = obstore.get(self._store(bucket), info.key)
            body = bytes(answer.bytes())
            meta = answer.meta
        except (NotFoundError, FileNotFoundError):
            raise InputError(f"{self._requests.of_object(bucket, info.key)} is gone.") from None
        except ValueError:
            return *self._other_way(bucket, info), True
        except (BaseError, OSError):
            return *self._other_way(bucket, info), False  # with botocore's patience and its errors' words
        if len(body) != meta["size"]:
            return *self._other_way(bucket, info), False
        etag = (meta["e_tag"] or "").strip('"')
        return ObjectInfo(info.key, meta["size"], etag, meta["last_modified"]), body, True

    def _store(self, bucket: str) -> S3Store:
        keys = self._requests.credentials()  # a role's change every hour
        with self._lock:
            known = self._stores.get(bucket)
            if known is None or known[0] != keys:
                known = self._stores[bucket] = (keys, self._make(bucket, keys))
            return known[1]

    def _make(self, bucket: str, keys: Any) -> S3Store:
        client = self._requests.client
        endpoint = str(client.meta.endpoint_url)
        seconds = self._requests.seconds
        options: Any = {
            "access_key_id": keys.access_key,
            "secret_access_key": keys.secret_key,
            "region": client.meta.region_name or "us-east-1",
            "virtual_hosted_style_request": self._virtual_hosts,
        }
        if keys.token:
            options["token"] = keys.token
        if not self._virtual_hosts:
            options["endpoint"] = endpoint
        client_options: Any = {"timeout": timedelta(seconds=seconds), "user_agent": "tdev-maintenance"}
        if endpoint.startswith("http://"):
            client_options["allow_http"] = True
        if self._requests.facts.extra.get("verify") is False:
            client_options["allow_invalid_certificates"] = True
        # It shall not try again by itself: we would not see that the store throttles, and it knows no Retry-After.
        retries: Any = {"max_retries": 0, "retry_timeout": timedelta(seconds=seconds)}
        return S3Store(bucket, config=options, client_options=client_options, retry_config=retries)
