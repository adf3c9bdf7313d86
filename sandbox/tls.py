"""The public TLS ends: one listener that serves each name's certificate by SNI. Run as `python -m sandbox.tls`."""

import asyncio
import os
import ssl
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sandbox.certificates import Authority
from sandbox.parts import PythonPart
from sandbox.processes import Supervisor

DAYS_LEFT = 300
_LIFETIME_DAYS = 365
_PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 12\r\nConnection: close\r\n\r\nT-Developer\n"


class TlsEnds(PythonPart):
    """Serves every name at one port, with certificates of 300 days left that may be replaced while it runs."""

    module = "sandbox.tls"

    def __init__(self, supervisor: Supervisor, names: Sequence[str], name: str = "tls") -> None:
        """Make the authority and a certificate for each name."""
        super().__init__(supervisor, name)
        self.names = tuple(names)
        self.folder = supervisor.home / name
        self.folder.mkdir(mode=0o700)
        self._authority = Authority()
        self.ca_file = self.folder / "ca.pem"
        self.ca_file.write_bytes(self._authority.root_pem)
        for each in self.names:
            self.replace(each)

    def replace(self, name: str, *, days_left: float = DAYS_LEFT, lifetime_days: float = _LIFETIME_DAYS) -> None:
        """Serve a new certificate for a name, from the next connection on. Negative days are over already."""
        until = datetime.now(UTC) + timedelta(days=days_left)
        self.restore(name, self._authority.issue(name, since=until - timedelta(days=lifetime_days), until=until))

    def served(self, name: str) -> bytes:
        """Return the PEM (key and chain) that is served for a name, for a later `restore`."""
        return self.file_of(name).read_bytes()

    def restore(self, name: str, pem: bytes) -> None:
        """Serve this PEM (key and chain) for a name."""
        unfinished = self.folder / "unfinished"
        unfinished.touch(mode=0o600)
        unfinished.write_bytes(pem)
        unfinished.replace(self.file_of(name))

    def file_of(self, name: str) -> Path:
        """Return where a name's key and chain stand."""
        return self.folder / f"{name}.pem"

    def _environment(self) -> Mapping[str, str]:
        return {
            "SANDBOX_PORT": str(self.port),
            "SANDBOX_FOLDER": str(self.folder),
            "SANDBOX_NAMES": " ".join(self.names),
        }


def _context(file: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(file)
    return context


async def _serve(environment: Mapping[str, str]) -> None:
    folder, names = Path(environment["SANDBOX_FOLDER"]), environment["SANDBOX_NAMES"].split()

    def choose(connection: ssl.SSLObject, name: str | None, _context_so_far: ssl.SSLContext) -> int | None:
        if name not in names:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        # Read at every connection: so a replaced file is served at once.
        connection.context = _context(folder / f"{name}.pem")
        return None

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), timeout=10)
            writer.write(_PAGE)
            await writer.drain()
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            pass  # a client that only looked at the certificate
        finally:
            writer.close()

    base = _context(folder / f"{names[0]}.pem")
    base.sni_callback = choose
    server = await asyncio.start_server(answer, environment["SANDBOX_BIND"], int(environment["SANDBOX_PORT"]), ssl=base)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(os.environ))
