"""What the core needs from the outside world, as protocols. `hooks/` implements them.

Rules for every adapter: bounded time (each call has a limit of its own), vendor exceptions end there and become
`TdevError`s, no secret in a message, thread-safe (checks run concurrently).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Protocol


class Clock(Protocol):
    """Tells the time, so that rules can be tested at any moment."""

    def __call__(self) -> datetime:
        """Return now, aware, in UTC."""


def utc_now() -> datetime:
    """Return the real time: the `Clock` of production."""
    return datetime.now(UTC)


class Database(Protocol):
    """Read access to one PostgreSQL database; every call is its own transaction, read-only, with a time limit."""

    @property
    def name(self) -> str:
        """Name for messages, for example `t_developer`; never a DSN."""

    def rows(self, statement: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run one statement with named binds and return its rows.

        Raises:
            TargetUnreachableError, TargetTimeoutError, AccessDeniedError, BusyError, InputError.
        """


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object of a listing."""

    key: str
    size_bytes: int
    etag: str
    modified: datetime


@dataclass(frozen=True, slots=True)
class BucketExposure:
    """How a bucket answers strangers. `None` means that the store cannot tell, or that we lack the right to ask.

    `rights_missing` names those rights, for example `s3:GetBucketAcl`.
    """

    anonymous_list_status: int | None
    anonymous_read_status: int | None
    policy_is_public: bool | None
    acl_grants_public: bool | None
    public_access_blocked: bool | None
    rights_missing: tuple[str, ...] = ()


class ObjectStore(Protocol):
    """An S3-compatible store."""

    def list(self, bucket: str, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield the objects below a prefix, page by page, in key order.

        Raises:
            TargetUnreachableError, TargetTimeoutError, ThrottledError, AccessDeniedError,
            InputError (no such bucket), GarbledAnswerError.
        """

    def read(self, bucket: str, key: str, *, max_bytes: int) -> bytes:
        """Return an object's content. An object larger than `max_bytes` is an InputError; a missing one too."""

    def write(self, bucket: str, key: str, body: bytes, *, content_type: str = "application/octet-stream") -> None:
        """Store a small object (overwrites)."""

    def delete(self, bucket: str, key: str) -> None:
        """Remove one object; removing what is not there is no error."""

    def exposure(self, bucket: str) -> BucketExposure:
        """Look at a bucket as a stranger would, and at what its policy says."""

    def server_time(self) -> datetime:
        """Return the store's own clock (its Date header), whole seconds, UTC."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer of the maintained HTTP service. `body` is cut at the adapter's limit (1 MiB)."""

    status: int
    body: bytes
    content_type: str
    seconds: float


class HttpService(Protocol):
    """The maintained HTTP API. Only GET is offered to checks: endpoints that write are never called by one."""

    @property
    def name(self) -> str:
        """Name for messages: scheme, host and port."""

    def get(self, path: str, *, authorised: bool = True, forged_token: str = "") -> HttpAnswer:
        """Ask for a path, with the bearer token or without. Does not follow redirects and does not retry.

        A request that is not `authorised` bears the `forged_token`, if there is one.

        Raises:
            TargetUnreachableError, TargetTimeoutError (also when an answer drips in too slowly).
        """


@dataclass(frozen=True, slots=True)
class CommandOutput:
    """What a finished command left: both streams, whole up to the limit."""

    exit_status: int
    stdout: str
    stderr: str
    truncated: bool = False


class Host(Protocol):
    """A machine on which we may run commands: local, over SSH, or by AWS SSM."""

    @property
    def name(self) -> str:
        """The host's name in the settings."""

    def run(self, argv: Sequence[str], *, timeout_seconds: float = 30.0, stdin: str = "") -> CommandOutput:
        """Run one command, without a shell of ours, and return how it ended (any exit status is returned, not raised).

        Raises:
            TargetUnreachableError, TargetTimeoutError (the command was killed), AccessDeniedError,
            InputError (no such command).
        """


class StreamingHost(Host, Protocol):
    """A host whose commands may print more than one wants to hold."""

    def stream(self, argv: Sequence[str], *, timeout_seconds: float = 30.0) -> AbstractContextManager[Iterator[bytes]]:
        """Run one command; within the block its output comes chunk by chunk, and leaving the block kills it.

        Raises:
            CommandFailedError: at the end of the output, when it ended badly; SetupMissingError: nothing can be
            streamed from this host; and what `run` raises.
        """


@dataclass(frozen=True, slots=True)
class ServedCertificate:
    """What a TLS end served: DER certificates, leaf first; and why our trust store refused them, if it did."""

    chain: tuple[bytes, ...]
    protocol: str
    address: str
    refusal: str = ""


StartTls = Literal["", "imap", "postgres", "smtp"]


class TlsProber(Protocol):
    """Looks at TLS ends."""

    def probe(self, name: str, address: str, port: int, *, starttls: StartTls = "") -> ServedCertificate:
        """Connect to an address with the name as SNI, take the served chain, and say whether chain and name hold.

        With `starttls` the handshake is asked for first, in that protocol.

        Raises:
            TargetUnreachableError, TargetTimeoutError, GarbledAnswerError (no TLS spoken there),
            SetupMissingError (this machine has no route to such addresses, or no readable `ca_file`).
        """


class Resolver(Protocol):
    """DNS, asked at the resolver that the settings name."""

    def resolve(self, name: str) -> tuple[str, ...]:
        """Return the addresses (A and AAAA) of a name, sorted; empty when the name does not exist.

        Raises:
            TargetUnreachableError, TargetTimeoutError.
        """


class CredentialProbe(Protocol):
    """Tries passwords that must be refused."""

    def database_accepts(self, user: str, password: str) -> bool:
        """Whether the maintained database lets this user in; marked as our own probe by its application name."""


@dataclass(frozen=True, slots=True)
class SystemPorts:
    """Everything through which the maintained system is looked at.

    Adapters may remember that a target is down. `forget_outages` makes them try again, for those that want to know
    how it is now.
    """

    database: Database
    objects: ObjectStore
    api: HttpService
    tls: TlsProber
    resolver: Resolver
    credentials: CredentialProbe
    hosts: Mapping[str, StreamingHost] = field(default_factory=dict)
    clock: Clock = utc_now
    forget_outages: Callable[[], None] = lambda: None
