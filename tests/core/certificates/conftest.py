"""A real TLS server that reads its files when it is told to, a host, and an ACME client of any character."""

import socket
import ssl
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509

from sandbox.certificates import Authority
from tdev_operators.core.certificates.ports import CertificatePorts
from tdev_operators.core.certificates.run import Wanted, manage
from tdev_operators.core.certificates.settings import ManagedCertificate
from tdev_operators.core.errors import SetupMissingError
from tdev_operators.core.settings import PublicName, load_settings
from tdev_operators.core.sql import include_dir
from tdev_operators.hooks.hosts.local import LocalHost
from tdev_operators.hooks.tls import TlsProbe

NAME = "api.t-developer.com"
DAY = timedelta(days=1)
MARK = "-----BEGIN CERTIFICATE-----"


class Killed(BaseException):
    """The worker died here."""


class Server:
    """Serves certificate and key. Reads its files when `reload` is touched; what it cannot read leaves it as it was."""

    def __init__(self, folder, address="127.0.0.1", port=0):
        self.file, self.key, self.trigger = folder / "fullchain.pem", folder / "privkey.pem", folder / "reload"
        self._context, self._seen = None, 0
        self._socket = socket.create_server((address, port))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def load(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file, self.key)
        self._context = context

    def stop(self):
        # Closed while somebody waits in accept, its number would go to the next server, and both would answer there.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _serve(self):
        while True:
            try:
                line, _ = self._socket.accept()
            except OSError:
                return
            told = self.trigger.stat().st_mtime_ns if self.trigger.exists() else 0
            if told != self._seen:
                self._seen = told
                with suppress(ssl.SSLError, OSError):
                    self.load()
            with suppress(OSError), line, self._context.wrap_socket(line, server_side=True) as secured:
                secured.settimeout(2)
                secured.recv(1)


class CountedHost(LocalHost):
    """Runs commands here, and dies around one of them; what only looks, in threads, is not counted."""

    def __init__(self, name):
        super().__init__(name)
        self.said, self.dies = [], None

    def run(self, argv, **options):
        if threading.current_thread() is not threading.main_thread():
            return super().run(argv, **options)
        self.said.append(list(argv))
        step = len(self.said)
        if self.dies == (step, "before"):
            raise Killed
        ended = super().run(argv, **options)
        if self.dies == (step, "after"):
            raise Killed
        return ended


class World:
    """One certificate: its authority, its server, its host, and what was journalled."""

    def __init__(self, folder):
        self.folder, self.authority, self.now = folder, Authority(), datetime.now(UTC)
        self.server = Server(folder)
        self.host = CountedHost("edge")
        self.addresses, self.no_route = ["127.0.0.1"], set()
        self.journal, self.told = [], []
        self.acm = SimpleNamespace(all=lambda: iter(()))
        self.web = SimpleNamespace()
        (folder / "ca.pem").write_bytes(self.authority.root_pem)
        self.next = folder / "next"
        self.next.mkdir()
        self.put(self.pem(left=20, lived=345))
        self.server.load()
        self.offer(self.pem(left=364))
        self.entry = ManagedCertificate(
            name=NAME,
            port=self.server.port,
            renewal="command",
            host="edge",
            file=str(self.server.file),
            key=str(self.server.key),
            renew=("sh", "-c", f"cp {self.next}/* {folder}"),
            reload=("touch", str(self.server.trigger)),
        )
        self.others = ()

    def pem(self, *, left, lived=1, name=NAME, **more):
        return self.authority.issue(name, since=self.now - lived * DAY, until=self.now + left * DAY, **more)

    def put(self, pem, folder=None):
        text = pem.decode()
        key, mark, chain = text.partition(MARK)
        folder = folder or self.folder
        (folder / "privkey.pem").write_text(key)
        (folder / "fullchain.pem").write_text(mark + chain)

    def offer(self, pem):
        """Let the client get this one."""
        self.put(pem, self.next)

    def change(self, **values):
        self.entry = self.entry.model_copy(update=values)

    @property
    def settings(self):
        shipped = load_settings(include_dir() / "tdev.toml")
        quick = {"served_seconds": 1.5, "renew_seconds": 20.0}
        rules = shipped.certificates.model_copy(update={"managed": (self.entry, *self.others), **quick})
        public = (PublicName(name=NAME, port=self.server.port),)
        return shipped.model_copy(update={"certificates": rules, "public_names": public})

    @property
    def ports(self):
        real = TlsProbe(ca_file=str(self.folder / "ca.pem"), timeout_seconds=2)

        def probe(name, address, port, **more):
            if address in self.no_route:
                raise SetupMissingError(f"{address}: this machine has no route to such addresses; give it one.")
            return real.probe(name, address, port, **more)

        system = SimpleNamespace(
            tls=SimpleNamespace(probe=probe),
            resolver=SimpleNamespace(resolve=lambda _: tuple(self.addresses)),
            hosts={"edge": self.host},
            clock=lambda: self.now,
        )
        return CertificatePorts(system, self.acm, self.web)

    def manage(self, *, settings=None, **wanted):
        return manage(
            self.ports,
            settings or self.settings,
            Wanted(**wanted),
            note=lambda event, facts: self.journal.append((event, dict(facts))),
            progress=self.told.append,
        )

    def one(self, **wanted):
        [result] = self.manage(**wanted)
        return result

    def served(self, address="127.0.0.1"):
        """Return the serial number that is served."""
        answer = self.ports.system.tls.probe(NAME, address, self.server.port)
        return x509.load_der_x509_certificate(answer.chain[0]).serial_number

    def serial(self, folder=None):
        """Return the serial number on disk."""
        file = (folder or self.folder) / "fullchain.pem"
        return x509.load_pem_x509_certificates(file.read_bytes())[0].serial_number

    @property
    def copies(self):
        return [file.name for file in Path(self.folder).glob("*.tdev-before")]


@pytest.fixture
def second(world):
    """A second address of the name: its server reads the same files, at the moment it is called, and never again."""
    folder = world.folder / "second"
    folder.mkdir()
    server = Server(folder, "127.0.0.2", world.server.port)

    def begin():
        server.file, server.key = world.server.file, world.server.key
        server.load()
        world.addresses.append("127.0.0.2")

    yield begin
    server.stop()


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.server.stop()
