"""An HTTP end that records what it is sent, in place of Slack, the heartbeat service and an SNS subscriber.

`WebHooks`, run as `python -m sandbox.web_hooks`.
"""

import itertools
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from sandbox.parts import PythonPart
from sandbox.processes import LOOPBACK, Supervisor

_MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """One request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: str
    received_at: datetime


class WebHooks(PythonPart):
    """Records every GET and POST below its three secret paths; every other path is answered 404 and not kept."""

    module = "sandbox.web_hooks"

    def __init__(self, supervisor: Supervisor, name: str = "web-hooks") -> None:
        """Make the folder and the secret paths."""
        super().__init__(supervisor, name)
        self.folder = supervisor.home / name
        self.folder.mkdir(mode=0o700)
        token = secrets.token_urlsafe(12)
        self._paths = {kind: f"/{kind}/{token}" for kind in ("slack", "heartbeat", "sns")}

    @property
    def slack_url(self) -> str:
        """The address of the Slack webhook."""
        return self._url("slack")

    @property
    def heartbeat_url(self) -> str:
        """The address of the dead-man's switch."""
        return self._url("heartbeat")

    @property
    def sns_url(self) -> str:
        """The address of the SNS subscriber."""
        return self._url("sns")

    def requests(self, url: str = "") -> list[RecordedRequest]:
        """Return what arrived, oldest first: everything, or what was sent to one of the addresses."""
        everything = [_read(file) for file in sorted(self.folder.glob("*.json"))]
        return [each for each in everything if not url or url.endswith(each.path)]

    def clear(self) -> None:
        """Forget what arrived."""
        for file in self.folder.glob("*.json"):
            file.unlink()

    def _url(self, kind: str) -> str:
        return f"http://{self.host}:{self.port}{self._paths[kind]}"

    def _environment(self) -> Mapping[str, str]:
        return {
            "SANDBOX_PORT": str(self.port),
            "SANDBOX_FOLDER": str(self.folder),
            "SANDBOX_PATHS": " ".join(self._paths.values()),
        }


def _read(file: Path) -> RecordedRequest:
    data = json.loads(file.read_text(encoding="utf-8"))
    return RecordedRequest(**{**data, "received_at": datetime.fromisoformat(data["received_at"])})


def _serve(environment: Mapping[str, str]) -> None:
    folder, paths = Path(environment["SANDBOX_FOLDER"]), environment["SANDBOX_PATHS"].split()
    numbers = itertools.count(1 + max((int(file.stem) for file in folder.glob("*.json")), default=0))

    class Handler(BaseHTTPRequestHandler):
        def _record(self) -> None:
            body = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), _MOST_BYTES))
            if self.path not in paths:
                self._answer(404, b"no such hook")
                return
            record = {
                "method": self.command,
                "path": self.path,
                "headers": {name.lower(): value for name, value in self.headers.items()},
                "body": body.decode(errors="replace"),
                "received_at": datetime.now(UTC).isoformat(),
            }
            number = next(numbers)
            unfinished = folder / f"{number:05}.unfinished"
            unfinished.write_text(json.dumps(record, indent=1), encoding="utf-8")
            unfinished.rename(folder / f"{number:05}.json")
            self._answer(200, b"ok")

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _record  # noqa: N815 (their names)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (their name)
            """Keep the secret paths out of the log."""

    ThreadingHTTPServer((LOOPBACK, int(environment["SANDBOX_PORT"])), Handler).serve_forever()


if __name__ == "__main__":
    _serve(os.environ)
