"""What a drill needs from the world: the bucket, the key, a disposable server, and a way to talk to the application."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from tdev_operators.core.backup.cipher import Cipher
from tdev_operators.core.backup.ports import BackupStore
from tdev_operators.core.backup.proof.scratch import ScratchServer
from tdev_operators.core.ports import Clock, HttpAnswer, HttpService, utc_now


class WritableApi(HttpService, Protocol):
    """An HTTP API of our own stand-in, to which we may write."""

    def post(self, path: str) -> HttpAnswer:
        """Post an empty body, with the bearer token; raises as `get`."""


@dataclass(frozen=True, slots=True)
class DrillPorts:
    """The clean room's: nothing of the live system is in it. `api` opens the stand-in at a port of this machine."""

    store: BackupStore
    cipher: Cipher
    scratch: Callable[[int], AbstractContextManager[ScratchServer]]
    api: Callable[[int, str], WritableApi]
    free_port: Callable[[], int]
    clock: Clock = utc_now
