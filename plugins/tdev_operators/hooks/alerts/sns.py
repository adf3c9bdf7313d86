"""Amazon SNS: one plain-text message to the topic of the settings. Credentials are the connection `tdev_aws`."""

from tdev_operators.core.errors import SettingsError
from tdev_operators.core.reporting.messages import AlertMessage, Channel
from tdev_operators.core.reporting.rendering import render_mail
from tdev_operators.core.settings import Settings
from tdev_operators.hooks.aws import aws_errors, make_client
from tdev_operators.hooks.connections import AWS, ConnectionFacts, ConnectionSource

_SECONDS = 10.0
# SNS refuses more than 256 KiB, and a subject above 100 ASCII characters.
_LONGEST_BYTES = 250_000
_LONGEST_SUBJECT = 100


def channel(settings: Settings, connections: ConnectionSource) -> Channel:
    """Return the SNS channel.

    Raises:
        SettingsError, SetupMissingError: the settings name no topic, or there is no connection.
    """
    if settings.alerts.sns is None:
        raise SettingsError("The settings choose the channel sns but have no [alerts.sns]; add it.")
    return SnsChannel(settings.alerts.sns.topic_arn, connections.get(AWS))


class SnsChannel:
    """Publishes one message to the topic."""

    name = "sns"

    def __init__(self, topic_arn: str, facts: ConnectionFacts) -> None:
        self._topic_arn = topic_arn
        self._facts = facts

    def send(self, message: AlertMessage) -> None:
        """See `Channel.send`."""
        text, _ = render_mail(message)
        subject = message.subject.encode("ascii", "replace").decode()[:_LONGEST_SUBJECT]
        body = text.encode()[:_LONGEST_BYTES].decode("utf-8", "ignore")
        client = make_client(self._facts, "sns", timeout_seconds=_SECONDS)
        with aws_errors(f"The SNS topic {self._topic_arn}", self._facts):
            client.publish(TopicArn=self._topic_arn, Subject=subject, Message=body)
