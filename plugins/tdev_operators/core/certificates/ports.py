"""What the management of certificates needs from the outside world."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from tdev_operators.core.ports import SystemPorts


@dataclass(frozen=True, slots=True)
class AcmCertificate:
    """A certificate in AWS Certificate Manager. `serial` is 0 while it has none; `renewal` is ACM's word, if any.

    One that is `exportable` may be in use anywhere.
    """

    arn: str
    names: tuple[str, ...]
    kind: str
    status: str
    eligible: bool
    in_use: bool
    exportable: bool = False
    serial: int = 0
    begins: datetime | None = None
    ends: datetime | None = None
    renewal: str = ""

    @property
    def imported(self) -> bool:
        """Whether it came from elsewhere: ACM never renews such a one."""
        return self.kind == "IMPORTED"


class Acm(Protocol):
    """AWS Certificate Manager of one account and region. Every method may raise a TdevError."""

    def all(self) -> Iterator[AcmCertificate]:
        """Yield every certificate, whatever its key."""

    def find(self, arn: str) -> AcmCertificate:
        """Return one."""

    def renew(self, arn: str) -> None:
        """Ask for its renewal, which happens later."""


class Web(Protocol):
    """Fetches what certificates point at. Bounded in time and size; follows no redirect."""

    def get(self, url: str, *, max_bytes: int) -> bytes:
        """Return the body of an answer with status 200.

        Raises:
            TargetUnreachableError, TargetTimeoutError, GarbledAnswerError (another status, or more bytes).
        """

    def post(self, url: str, body: bytes, content_type: str, *, max_bytes: int) -> bytes:
        """Post a body and return that of the answer; raises as `get`."""


@dataclass(frozen=True, slots=True)
class CertificatePorts:
    """What the management of certificates works with."""

    system: SystemPorts
    acm: Acm
    web: Web
