"""Services of a sandbox, in systemctl's place: `python services.py SOCKET stop|start|is-active|... SERVICE`.

The sandbox's own process does what is asked, so that what is started here outlives the command that asked.
"""

import json
import socket
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_ANSWER_SECONDS = 60.0
_LONGEST_REQUEST = 4096
_NOT_ACTIVE = 3  # as systemctl's


class Services:
    """Answers at a socket of mode 0600. `parts` are the services' parts of the sandbox by the services' names.

    What is `disabled` does not come up in `boot()`, when its machine starts.
    """

    def __init__(self, path: Path, parts: Mapping[str, Any]) -> None:
        """Listen from now on."""
        self.path = path
        self.disabled: set[str] = set()
        self._parts = dict(parts)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._listener.listen()
        threading.Thread(target=self._serve, name="services", daemon=True).start()

    def add(self, parts: Mapping[str, Any]) -> None:
        """Take more services in."""
        self._parts |= parts

    def boot(self, *services: str) -> None:
        """Start these services as their machine would when it starts."""
        for service in services:
            if service not in self.disabled and not self._parts[service].running:
                self._parts[service].start()

    def command(self, verb: str) -> list[str]:
        """Return the command for the settings; the service's name comes last."""
        return [sys.executable, str(Path(__file__).resolve()), str(self.path), verb, "{service}"]

    def _serve(self) -> None:
        while True:
            client, _ = self._listener.accept()
            with client, client.makefile("rw") as stream:
                stream.write(json.dumps(self._do(stream.readline(_LONGEST_REQUEST))) + "\n")

    def _do(self, line: str) -> tuple[int, str]:
        try:
            verb, service = json.loads(line)
            part = self._parts[service]
            if verb in ("main-pid", "status"):
                return 0, _told(verb, service, part)
            match verb:
                case "stop":
                    part.stop()
                case "start" if not part.running:
                    part.start()
                case "restart":
                    part.restart()
                case "is-active" if not part.running:
                    return _NOT_ACTIVE, "inactive"
                case "disable":
                    self.disabled.add(service)
                case "enable":
                    self.disabled.discard(service)
                case "is-enabled" if service in self.disabled:
                    return 1, "disabled"
        except Exception as error:  # noqa: BLE001 (whatever it was, the one who asked has to hear it)
            return 1, f"{type(error).__name__}: {error}"
        return 0, ""


def _told(verb: str, service: str, part: Any) -> str:
    if verb == "main-pid":
        return str(part.pid)
    return f"{service}: {f'active (running), main process {part.pid}' if part.running else 'inactive'}"


def main(argv: list[str]) -> int:
    """Ask the sandbox; return the exit status."""
    path, verb, service = argv
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_ANSWER_SECONDS)
        client.connect(path)
        client.sendall(json.dumps([verb, service]).encode() + b"\n")
        status, said = json.loads(client.makefile().readline())
    if said:
        print(said, file=sys.stderr if status else sys.stdout)
    return int(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
