"""Who is told, through which channels: the `[alerts...]` and `[[silences]]` tables of the settings."""

from datetime import datetime
from typing import Literal

from tdev_operators.core.setting_types import Positive, Section, Text

ChannelName = Literal["mail", "slack", "sns"]


class MailSettings(Section):
    """`[alerts.mail]`: sender and recipients. The server is the connection `tdev_smtp`."""

    sender: Text
    recipients: tuple[Text, ...]


class SnsSettings(Section):
    """`[alerts.sns]`: the topic. Credentials are the connection `tdev_aws`."""

    topic_arn: Text


class AlertSettings(Section):
    """`[alerts]`: channels, reminders, the dead-man's switch."""

    channels: tuple[ChannelName, ...]
    reminder_after_hours: Positive
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
