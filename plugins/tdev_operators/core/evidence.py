"""What was seen before anything was touched: one object in the backups bucket, written once and read back."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from tdev_operators.core.backup.ports import BackupStore
from tdev_operators.core.backup.set_ids import root_of
from tdev_operators.core.errors import BusyError, GarbledAnswerError, ProofFailedError
from tdev_operators.core.reporting.escaping import storable

_MAX_BYTES = 4 * 1024 * 1024


def key_of(system: str, item: str, run: str, name: str) -> str:
    """Return where a piece of evidence of a run stands; `run` is a name of `recovery_id_of`."""
    return f"{root_of(system)}evidence/{item}/{run}/{name}.json"


def kept(store: BackupStore, bucket: str, key: str) -> dict[str, Any] | None:
    """Return evidence; None when there is none.

    Raises:
        GarbledAnswerError: what stands there is none.
    """
    if store.find(bucket, key) is None:
        return None
    try:
        found = json.loads(store.read_whole(bucket, key, max_bytes=_MAX_BYTES))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise GarbledAnswerError(f"{key} is no evidence; look at who writes there, and start the run anew.")
    return found


def keep(store: BackupStore, bucket: str, key: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """Write evidence unless there is some, and return what stands there: a retry never replaces the first.

    Raises:
        ProofFailedError: the store does not give back what it took.
    """
    before = kept(store, bucket, key)
    if before is not None:
        return before
    body = json.dumps(storable(dict(found)), indent=1, default=str).encode()
    with suppress(BusyError):  # another try of this run was faster
        store.put(bucket, key, body, only_if_absent=True)
    after = kept(store, bucket, key)
    if after is None:
        raise ProofFailedError(f"The store took {key} and does not give it back; nothing was touched. See its state.")
    return after
