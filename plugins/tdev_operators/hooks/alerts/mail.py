"""Mail through the SMTP server of the connection `tdev_smtp`: the news, then the report, as text and as HTML.

The connection follows Airflow's SMTP form: TLS from the start on port 465, with `disable_ssl` STARTTLS on port 587,
with `disable_tls` as well no encryption (then a password is only sent to this machine itself). `timeout` is in
seconds; `ca_file` names the certificates to trust when the server's authority is a private one.
"""

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.utils import format_datetime

from tdev_operators.core.errors import (
    AccessDeniedError,
    GarbledAnswerError,
    SettingsError,
    SetupMissingError,
    TargetTimeoutError,
    TargetUnreachableError,
)
from tdev_operators.core.reporting.messages import AlertMessage, Channel
from tdev_operators.core.reporting.rendering import render_mail
from tdev_operators.core.reporting.settings import MailSettings
from tdev_operators.core.settings import Settings
from tdev_operators.hooks.connections import ConnectionFacts, ConnectionSource
from tdev_operators.hooks.deadline import TimeUpError, within

CONNECTION = "tdev_smtp"
_SECONDS = 10.0
# A socket limit counts from the last byte; a whole conversation has a few dozen of those.
_CONVERSATION_SECONDS = 30.0
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def channel(settings: Settings, connections: ConnectionSource) -> Channel:
    """Return the mail channel.

    Raises:
        SettingsError, SetupMissingError: the settings name no sender, or there is no connection.
    """
    if settings.alerts.mail is None:
        raise SettingsError("The settings choose the channel mail but have no [alerts.mail]; add it.")
    facts = connections.get(CONNECTION)
    if not facts.host:
        raise SetupMissingError(f"The connection {CONNECTION} names no host; set the address of the mail server there.")
    return MailChannel(settings.alerts.mail, facts)


def report_readers(settings: Settings, connections: ConnectionSource) -> tuple[Channel, ...]:
    """Return the way to those who want every report: one channel, or none when nobody does.

    Raises:
        SetupMissingError: there is no connection.
    """
    mail = settings.alerts.mail
    if mail is None or not mail.report_readers:
        return ()
    return (MailChannel(mail, connections.get(CONNECTION), name="report_readers", recipients=mail.report_readers),)


def _flag(facts: ConnectionFacts, key: str) -> bool:
    """Return a switch of the connection's extra; in the URI form of a connection it is a word."""
    value = str(facts.extra.get(key) or "false").lower()
    if value not in ("true", "false", "1", "0"):
        raise SettingsError(f"{key} in the extra of {CONNECTION} is {value!r}; write true or false.")
    return value in ("true", "1")


class MailChannel:
    """Sends one mail to all recipients."""

    def __init__(
        self,
        settings: MailSettings,
        facts: ConnectionFacts,
        *,
        name: str = "mail",
        recipients: tuple[str, ...] | None = None,
    ) -> None:
        self.name = name
        self._settings = settings
        self._recipients = settings.recipients if recipients is None else recipients
        self._facts = facts
        self._encrypted = not _flag(facts, "disable_ssl")
        self._upgraded = not _flag(facts, "disable_tls") and not self._encrypted
        try:
            self._seconds = float(facts.extra.get("timeout", _SECONDS))
        except (TypeError, ValueError):
            raise SettingsError(f"timeout in the extra of {CONNECTION} is no number; write seconds.") from None

    def send(self, message: AlertMessage) -> None:
        """See `Channel.send`."""
        mail = self._compose(message)
        with self._our_errors():
            within(min(_CONVERSATION_SECONDS, 3 * self._seconds), lambda: self._hand_over(mail))

    def _compose(self, message: AlertMessage) -> EmailMessage:
        text, page = render_mail(message)
        mail = EmailMessage()
        mail["Subject"] = message.subject
        mail["From"] = self._settings.sender
        mail["To"] = ", ".join(self._recipients)
        mail["Date"] = format_datetime(message.created_at)
        # The same news has the same id, so that a mail that goes out twice is shown once.
        mail["Message-ID"] = f"<{message.id}@{self._settings.sender.rpartition('@')[2].rstrip('>')}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(text)
        mail.add_alternative(page, subtype="html")
        return mail

    def _hand_over(self, mail: EmailMessage) -> None:
        with self._server() as server:
            refused = server.send_message(mail)
        if refused:
            raise GarbledAnswerError(f"The mail server refused {', '.join(sorted(refused))}; mend the recipients.")

    @contextmanager
    def _server(self) -> Iterator[smtplib.SMTP]:
        facts = self._facts
        encrypted, upgraded = self._encrypted, self._upgraded
        if facts.password and not (encrypted or upgraded) and facts.host not in _LOOPBACK:
            raise SettingsError(
                f"The connection {CONNECTION} would send its password unencrypted; allow SSL or TLS in it."
            )
        if encrypted:
            made: smtplib.SMTP = smtplib.SMTP_SSL(
                facts.host, facts.port or 465, timeout=self._seconds, context=self._trust()
            )
        else:
            made = smtplib.SMTP(facts.host, facts.port or (587 if upgraded else 25), timeout=self._seconds)
        with made as server:
            if upgraded:
                server.starttls(context=self._trust())
            if facts.login:
                server.login(facts.login, facts.password)
            yield server

    def _trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self._facts.extra.get("ca_file"))

    @contextmanager
    def _our_errors(self) -> Iterator[None]:
        where = f"The mail server {self._facts.host}"
        try:
            yield
        except (TimeUpError, TimeoutError):
            raise TargetTimeoutError(f"{where} did not answer in time; look at it, and at the network.") from None
        except smtplib.SMTPAuthenticationError:
            raise AccessDeniedError(
                f"{where} refused the login of {CONNECTION}; mend its login and password."
            ) from None
        except smtplib.SMTPRecipientsRefused:
            raise GarbledAnswerError(f"{where} refused all recipients; mend [alerts.mail].") from None
        except ssl.SSLError as error:
            raise GarbledAnswerError(
                f"{where} does not offer the TLS that {CONNECTION} asks for ({error.reason}); mend its extra."
            ) from None
        except smtplib.SMTPNotSupportedError as error:
            raise GarbledAnswerError(
                f"{where} cannot do what {CONNECTION} asks for ({error}); mend its extra."
            ) from None
        except smtplib.SMTPResponseException as error:
            said = self._facts.scrub(
                error.smtp_error.decode("utf-8", "replace")
                if isinstance(error.smtp_error, bytes)
                else str(error.smtp_error)
            )
            raise TargetUnreachableError(f"{where} answered {error.smtp_code} ({said}); look at its log.") from None
        except (smtplib.SMTPException, OSError) as error:
            if isinstance(error.__context__, TimeoutError):  # smtplib calls a socket's time limit a disconnection
                raise TargetTimeoutError(f"{where} did not answer in time; look at it, and at the network.") from None
            raise TargetUnreachableError(f"{where} cannot be reached ({type(error).__name__}); look at it.") from None
