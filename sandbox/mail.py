"""A mail server that wants a login and keeps each mail as a file: `MailBox`, run as `python -m sandbox.mail`."""

import asyncio
import itertools
import os
import secrets
from collections.abc import Mapping
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from sandbox.parts import PythonPart
from sandbox.processes import LOOPBACK, Supervisor


class MailBox(PythonPart):
    """A mail server on loopback. Its mails are `folder/0001.eml`, ... with the envelope as X-MailFrom and X-RcptTo."""

    module = "sandbox.mail"

    def __init__(self, supervisor: Supervisor, name: str = "mail") -> None:
        """Make the folder and the login."""
        super().__init__(supervisor, name)
        self.folder = supervisor.home / name
        self.folder.mkdir(mode=0o700)
        self.login = "maintenance"
        self.password = secrets.token_urlsafe(18)

    def files(self) -> list[Path]:
        """Return the files of all mails, oldest first."""
        return sorted(self.folder.glob("*.eml"))

    def mails(self) -> list[EmailMessage]:
        """Return all mails, oldest first."""
        return [_parsed(file) for file in self.files()]

    def clear(self) -> None:
        """Throw all mails away."""
        for file in self.files():
            file.unlink()

    def _environment(self) -> Mapping[str, str]:
        return {
            "SANDBOX_PORT": str(self.port),
            "SANDBOX_FOLDER": str(self.folder),
            "SANDBOX_LOGIN": self.login,
            "SANDBOX_PASSWORD": self.password,
        }


def _parsed(file: Path) -> EmailMessage:
    message = message_from_bytes(file.read_bytes(), policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


class _Keeper:
    """aiosmtpd's handler: writes every mail that it is given."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1 + max((int(file.stem) for file in folder.glob("*.eml")), default=0))

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 (their name)
        header = f"X-MailFrom: {envelope.mail_from}\r\nX-RcptTo: {', '.join(envelope.rcpt_tos)}\r\n".encode()
        content = envelope.original_content or b""
        unfinished = self._folder / "unfinished"
        unfinished.write_bytes(header + content)
        unfinished.rename(self._folder / f"{next(self._numbers):04}.eml")
        return "250 kept"


async def _serve(environment: Mapping[str, str]) -> None:
    login, password = environment["SANDBOX_LOGIN"].encode(), environment["SANDBOX_PASSWORD"].encode()

    def authenticate(_server: SMTP, _session: Session, _envelope: Envelope, _way: str, given: object) -> AuthResult:
        right = isinstance(given, LoginPassword) and (given.login, given.password) == (login, password)
        return AuthResult(success=right, handled=False)

    handler = _Keeper(Path(environment["SANDBOX_FOLDER"]))

    def connection() -> SMTP:
        # No TLS: the server listens on loopback alone.
        return SMTP(handler, authenticator=authenticate, auth_required=True, auth_require_tls=False, hostname="sandbox")

    server = await asyncio.get_running_loop().create_server(connection, LOOPBACK, int(environment["SANDBOX_PORT"]))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(os.environ))
