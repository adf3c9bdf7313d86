"""Steering a running sandbox from another process, through a socket in its home that `.run/sandbox.json` names."""

import json
import os
import shlex
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.processes import REPOSITORY, SandboxError

if TYPE_CHECKING:
    from sandbox.system import Sandbox

RUNNING_FILE = Path(os.environ.get("TDEV_SANDBOX_FILE", REPOSITORY / ".run" / "sandbox.json"))

_ANSWER_SECONDS = 60.0
_LONGEST_REQUEST = 4096


def publish(sandbox: "Sandbox", running_file: Path = RUNNING_FILE) -> None:
    """Answer to `break` and `mend` from other processes, and write where to ask into the running file (0600).

    The file goes when the sandbox goes.

    Raises:
        SandboxError: a sandbox of this checkout runs already.
    """
    refuse_second(running_file)
    path = sandbox.home / "control.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen()
    threading.Thread(target=_serve, args=(sandbox, listener), name="control", daemon=True).start()
    running_file.parent.mkdir(mode=0o700, exist_ok=True)
    sandbox.supervisor.add_folder(running_file)
    running_file.unlink(missing_ok=True)
    running_file.touch(mode=0o600)
    facts = {"pid": os.getpid(), "home": str(sandbox.home), "socket": str(path), "environment": environment_of(sandbox)}
    running_file.write_text(json.dumps(facts, indent=1), encoding="utf-8")


def environment_of(sandbox: "Sandbox") -> dict[str, str]:
    """Return the sandbox's environment with the address of Airflow's metadata database."""
    return {**sandbox.environment, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": sandbox.airflow_database_url}


def refuse_second(running_file: Path = RUNNING_FILE) -> None:
    """Raise SandboxError when a sandbox of this checkout answers."""
    if running_file.exists():
        try:
            ask("ping", running_file=running_file)
        except SandboxError:
            return
        raise SandboxError(f"A sandbox is running already ({running_file}); end it first.")


def ask(command: str, what: str = "", *, running_file: Path = RUNNING_FILE) -> None:
    """Have the running sandbox do something: `ping`, `break` (what) or `mend`.

    Raises:
        SandboxError: no sandbox runs, or it could not do it.
    """
    address = running(running_file)["socket"]
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_ANSWER_SECONDS)
        try:
            client.connect(address)
            client.sendall(json.dumps({"command": command, "what": what}).encode() + b"\n")
            answer = client.makefile().readline()
        except OSError as error:
            raise SandboxError(f"The sandbox of {running_file} does not answer: {error}.") from None
    if not answer or (complaint := json.loads(answer)["error"]):
        raise SandboxError(complaint if answer else "The sandbox ended while it was asked.")


def running(running_file: Path = RUNNING_FILE) -> dict[str, Any]:
    """Return the running file's content: pid, home, socket, environment.

    Raises:
        SandboxError: no sandbox runs.
    """
    try:
        facts: dict[str, Any] = json.loads(running_file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SandboxError("No sandbox is running; start one with `python -m sandbox up`.") from None
    return facts


def export_lines(environment: dict[str, str]) -> str:
    """Return shell lines that set the environment."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())


def _serve(sandbox: "Sandbox", listener: socket.socket) -> None:
    while True:
        client, _ = listener.accept()
        with client, client.makefile("rw") as stream:
            error = _do(sandbox, stream.readline(_LONGEST_REQUEST))
            stream.write(json.dumps({"error": error}) + "\n")


def _do(sandbox: "Sandbox", line: str) -> str:
    try:
        request = json.loads(line)
        match request["command"]:
            case "break":
                sandbox.break_(request["what"])
            case "mend":
                sandbox.mend()
    except Exception as error:  # noqa: BLE001 (whatever it was, the one who asked has to hear it)
        return f"{type(error).__name__}: {error}"
    return ""
