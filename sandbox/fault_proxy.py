"""Proxies on loopback in front of PostgreSQL and S3 that break on purpose, at a moment that a test chooses.

    with S3Proxy(store.port) as s3, s3.faults.armed(slow_down(), matching=asking("UploadPart"), when=When(nth=3)):
        ...  # a client of s3.endpoint_url

`armed` fails when its fault never fired, for such a test has proven nothing. `arm`, `wait_fired` and `require_fired`
are for faults that outlive a block. Moments are chosen from the log of a run without faults: `exchanges` of S3,
`conversations` of PostgreSQL.
"""

from sandbox.faults.postgres import Conversation, Cut, Delay, PostgresFault, PostgresProxy, Silence, named
from sandbox.faults.requests import S3Request, asking
from sandbox.faults.rules import Call, Fault, FaultBoard, FaultNeverFiredError, When
from sandbox.faults.s3 import (
    Answer,
    Drip,
    EndResponse,
    Exchange,
    Hang,
    LoseAnswer,
    ResetRequest,
    S3Fault,
    S3Proxy,
    error_in_200,
    expired_token,
    internal_error,
    no_such_bucket,
    slow_down,
)

__all__ = [
    "Answer",
    "Call",
    "Conversation",
    "Cut",
    "Delay",
    "Drip",
    "EndResponse",
    "Exchange",
    "Fault",
    "FaultBoard",
    "FaultNeverFiredError",
    "Hang",
    "LoseAnswer",
    "PostgresFault",
    "PostgresProxy",
    "ResetRequest",
    "S3Fault",
    "S3Proxy",
    "S3Request",
    "Silence",
    "When",
    "asking",
    "error_in_200",
    "expired_token",
    "internal_error",
    "named",
    "no_such_bucket",
    "slow_down",
]
