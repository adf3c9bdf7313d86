"""What the ledger missed while it was down, kept in the backups bucket until a later run brings it in.

One folder an end of an item, `<system>/spool/<moment>-<item run>/`, with `outcome.json`, `report.json` and, when people
were told that checks are red, `told.json`. Folders sort by time.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from tdev_operators.core.errors import GarbledAnswerError
from tdev_operators.core.items import ItemOutcome, ItemRef
from tdev_operators.core.ledger import (
    outcome_from_json,
)
from tdev_operators.core.ports import ObjectStore
from tdev_operators.core.reporting.escaping import storable
from tdev_operators.core.reporting.report import Report

T = TypeVar("T")

_MAX_BYTES = 16 * 1024 * 1024
_VERSION = 1


@dataclass(frozen=True, slots=True)
class SpooledItem:
    """What a folder of the spool holds about one end of one item."""

    folder: str
    ref: ItemRef
    outcome: ItemOutcome
    outcome_is_ours: bool
    report: Report | None
    told: tuple[str, ...]
    reason: str


class Spool:
    """The folders of one system in one bucket."""

    def __init__(self, objects: ObjectStore, bucket: str, system: str) -> None:
        self._objects = objects
        self._bucket = bucket
        self._prefix = f"{system}/spool/"

    def keep(self, ref: ItemRef, ended_at: datetime, kind: str, content: Mapping[str, Any]) -> None:
        """Write one of a folder's files; the same again replaces it."""
        data = {"version": _VERSION, "ref": [ref.tier, ref.dag_id, ref.run_id, ref.item], **content}
        body = json.dumps(storable(data)).encode()
        key = f"{self._folder(ref, ended_at)}{kind}.json"
        self._objects.write(self._bucket, key, body, content_type="application/json")

    def folders(self, ref: ItemRef | None = None) -> list[str]:
        """Return the folders, oldest first: all of them, or those of one item in one run."""
        folders = {info.key.rpartition("/")[0] + "/" for info in self._objects.list(self._bucket, self._prefix)}
        ending = f"-{_fingerprint(ref)}/" if ref else ""
        return sorted(folder for folder in folders if folder.endswith(ending))

    def read(self, folder: str) -> SpooledItem | None:
        """Return what a folder holds; None when it names no end of an item.

        Raises:
            GarbledAnswerError: a file is not what we wrote.
        """
        keys = {info.key.rpartition("/")[2] for info in self._objects.list(self._bucket, folder)}
        files = {key: self._load(folder + key) for key in keys}
        outcome, report, told = (files.get(f"{kind}.json") for kind in ("outcome", "report", "told"))
        first = outcome or report
        if first is None:
            return None
        try:
            known = Report.from_json(report["report"]) if report else None
            return SpooledItem(
                folder=folder,
                ref=ItemRef(*first["ref"]),
                outcome=outcome_from_json(outcome["outcome"]) if outcome else _outcome_of(known),
                outcome_is_ours=outcome is not None,
                report=known,
                told=tuple(told["checks"]) if told else (),
                reason=str(first.get("reason", "")),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise _garbled(folder) from None

    def forget(self, folder: str) -> None:
        """Remove a folder."""
        for info in list(self._objects.list(self._bucket, folder)):
            self._objects.delete(self._bucket, info.key)

    def _load(self, key: str) -> dict[str, Any]:
        try:
            data = json.loads(self._objects.read(self._bucket, key, max_bytes=_MAX_BYTES))
        except ValueError:
            raise _garbled(key) from None
        if not isinstance(data, dict) or data.get("version") != _VERSION:
            raise _garbled(key)
        return data

    def _folder(self, ref: ItemRef, ended_at: datetime) -> str:
        return f"{self._prefix}{ended_at:%Y%m%dT%H%M%S%f}-{_fingerprint(ref)}/"


def _outcome_of(report: Report | None) -> ItemOutcome:
    if report is None:
        raise KeyError("report")
    results = tuple(finding.result for finding in report.findings)
    return ItemOutcome(results, report.started_at, report.ended_at, report.out_of_scope)


def _fingerprint(ref: ItemRef) -> str:
    return hashlib.sha256(f"{ref.dag_id}\n{ref.run_id}\n{ref.item}".encode()).hexdigest()[:16]


def _garbled(key: str) -> GarbledAnswerError:
    return GarbledAnswerError(f"{key} in the backups bucket is not what the spool wrote; look at it, then remove it.")
