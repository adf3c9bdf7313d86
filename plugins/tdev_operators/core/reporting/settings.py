"""Who is told, through which channels: the `[alerts...]` and `[[silences]]` tables of the settings."""

from datetime import datetime
from typing import Literal, Self

from pydantic import model_validator

from tdev_operators.core.setting_types import Positive, Section, Text

ChannelName = Literal["mail", "slack", "sns"]


class MailSettings(Section):
    """`[alerts.mail]`: who writes, who is alerted, and who wants every report. The server is `tdev_smtp`."""

    sender: Text
    recipients: tuple[Text, ...]
    report_readers: tuple[Text, ...] = ()


class SnsSettings(Section):
    """`[alerts.sns]`: the topic. Credentials are the connection `tdev_aws`."""

    topic_arn: Text


class AlertSettings(Section):
    """`[alerts]`: channels, reminders, the dead-man's switch.

    A check that turns red again within `damping_hours` of the last message about it is flapping: it is not told again.
    """

    channels: tuple[ChannelName, ...]
    reminder_after_hours: Positive
    damping_hours: Positive = 1.0
    ui_base_url: Text
    heartbeat_url: str = ""
    mail: MailSettings | None = None
    sns: SnsSettings | None = None


class Silence(Section):
    """`[[silences]]`: alerts of one check (or of an area: `database.*`) are held back until a moment."""

    check: Text
    owner: Text
    reason: Text
    until: datetime

    @model_validator(mode="after")
    def _with_zone(self) -> Self:
        if self.until.tzinfo is None:
            raise ValueError("until has no time zone; write it like 2026-12-01T00:00:00Z")
        return self

    def covers(self, check: str) -> bool:
        """Whether this silence is about the check."""
        return check == self.check or (self.check.endswith(".*") and check.startswith(self.check[:-1]))
