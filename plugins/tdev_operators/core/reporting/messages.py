"""What goes out to people: all news of one item run in one message a channel."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol, Self

from tdev_operators.core.reporting.alerts import Notice, NoticeKind
from tdev_operators.core.reporting.escaping import one_line
from tdev_operators.core.reporting.report import Report
from tdev_operators.core.reporting.wording import counted, span

_MESSAGES = uuid.UUID("6f2d7f5c-52a5-5b62-8d9e-6a0b8f4b1c33")
_SUBJECT_LIMIT = 180


@dataclass(frozen=True, slots=True)
class AlertMessage:
    """One message: notices, the worst news first, and the report they come from where there is one.

    Without notices it is the report itself, for its readers.

    `id` is made from the occasion, so that whoever sends the same news again sends the same id.
    """

    id: str
    system: str
    notices: tuple[Notice, ...]
    created_at: datetime
    url: str = ""
    report: Report | None = None

    @property
    def subject(self) -> str:
        """One line: the system, the worst news, and how much more there is."""
        if not self.notices and self.report:
            text = f"[{self.system}] {self.report.ref.item} {self.report.verdict}: {self.report.headline}"
            return one_line(text, _SUBJECT_LIMIT)
        first, more = self.notices[0], len(self.notices) - 1
        word = {
            NoticeKind.OPENED: first.verdict.value,
            NoticeKind.ESCALATED: f"now {first.verdict}",
            NoticeKind.REMINDER: f"still {first.verdict}",
            NoticeKind.ENDED: "ended",
        }[first.kind]
        tail = f" and {counted(more, 'more notice')}" if more else ""
        return one_line(f"[{self.system}] {word}: {first.check}{tail}", _SUBJECT_LIMIT)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types only; `from_json` is the inverse."""
        return {
            "id": self.id,
            "system": self.system,
            "notices": [notice.to_json() for notice in self.notices],
            "created_at": self.created_at.isoformat(),
            "url": self.url,
            "report": self.report.to_json() if self.report else None,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild a message from `to_json`'s output."""
        return cls(
            id=data["id"],
            system=data["system"],
            notices=tuple(Notice.from_json(notice) for notice in data["notices"]),
            created_at=datetime.fromisoformat(data["created_at"]),
            url=data["url"],
            report=Report.from_json(data["report"]) if data["report"] else None,
        )

    def without(self, checks: Sequence[str]) -> Self:
        """Return the message without the news that these checks are red (their ends stay)."""
        kept = tuple(n for n in self.notices if n.kind is NoticeKind.ENDED or n.check not in checks)
        return replace(self, notices=kept)


class Channel(Protocol):
    """A way to people."""

    @property
    def name(self) -> str:
        """The channel's name in the settings, for example `mail`."""

    def send(self, message: AlertMessage, /) -> None:
        """Hand the message to the channel's server, within a bounded time.

        Raises:
            TdevError: the server did not take it. One sentence, no secret.
        """


def message_id(occasion: str) -> str:
    """Return the id of the message for an occasion, for example `report:<id>`."""
    return str(uuid.uuid5(_MESSAGES, occasion))


def notice_line(notice: Notice) -> str:
    """Return a notice as one plain sentence, not escaped for any syntax."""
    word = {
        NoticeKind.OPENED: notice.verdict.value,
        NoticeKind.ESCALATED: f"{notice.verdict}, was less bad before",
        NoticeKind.REMINDER: f"still {notice.verdict}",
        NoticeKind.ENDED: "Ended",
    }[notice.kind]
    flaps = f" (opened again {counted(notice.suppressed, 'time')} meanwhile)" if notice.suppressed else ""
    return one_line(f"{word}: {notice.check}: {notice.summary}{flaps}")


def notice_age(notice: Notice, now: datetime) -> str:
    """Return `Since 2026-11-23 09:00 UTC (3 h)`; empty when the beginning is not known."""
    if notice.since is None:
        return ""
    return f"Since {notice.since:%Y-%m-%d %H:%M UTC} ({span((now - notice.since).total_seconds())})"
