"""Our end of the confinement: starts it, tries every barrier before any agent runs, and hears what became of code."""

import contextlib
import json
import os
import secrets
import signal
import socket
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import tdev_operators
from tdev_operators.core.agents.confinement.barriers import INSTALLED, Limits
from tdev_operators.core.agents.confinement.probes import BARRIERS
from tdev_operators.core.agents.conversation import Conversation
from tdev_operators.core.errors import CommandFailedError
from tdev_operators.core.private_folders import private_folder

_START_SECONDS = 30.0
_MARGIN_SECONDS = 10.0
_PROBE_WALL_SECONDS = 0.5
_PROBE_OUTPUT_BYTES = 64 * 1024
_LOOPBACK = "127.0.0.1"

# What to change where one is missing.
_FILES = "let the kernel have landlock (lsm=landlock,...), or install libseccomp2"
_REMEDIES = {
    "reading files": _FILES,
    "writing files": _FILES,
    "privileges": "install libseccomp2 (apt-get install libseccomp2), and allow seccomp in the container",
    "memory": "do not run the worker with limits that it may not lower",
}
_REMEDY = "install libseccomp2 (apt-get install libseccomp2), and let the container allow seccomp and landlock"

# Each is read back, or tried, before any agent.
_MADE_OF = {
    "seccomp": "seccomp",
    "limits": "resource limits",
    "capabilities": "no capabilities",
    "no_new_privs": "no new privileges",
    "environment": "an empty environment",
}


@dataclass(frozen=True, slots=True)
class Held:
    """What trying the barriers found: by name why one gives way, empty where it holds; and by what they are made."""

    broken: Mapping[str, str]
    made_of: tuple[str, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """The names of those that give way."""
        return tuple(name for name in BARRIERS if self.broken.get(name, "it was not tried"))

    @property
    def sentence(self) -> str:
        """What to tell people of the first that is missing; empty when all hold."""
        if not self.missing:
            return ""
        name = self.missing[0]
        why = self.broken.get(name, "it was not tried")
        return f"The barrier against {name} gives way ({why}); {_REMEDIES.get(name, _REMEDY)}."


@dataclass(frozen=True, slots=True)
class Answer:
    """What confined code answered: `data`, plain JSON of a hostile writer, or why there is none."""

    data: Mapping[str, Any]
    refusal: str = ""


class House:
    """A confinement that is up until the block is left. `libraries` are further folders that agents may import from.

    `without` and `python` are for tests: which mechanisms to leave out, and another interpreter.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        libraries: Sequence[str] = (),
        without: Sequence[str] = (),
        python: str = sys.executable,
        user: str = "",
        package: Path | None = None,
    ) -> None:
        self._limits, self._libraries = limits, tuple(libraries)
        self._without, self._python, self._user = tuple(without), python, user
        self._package = package or Path(tdev_operators.__file__).resolve().parent.parent
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        # -I -S: nothing of the environment, of the working directory, of site-packages. The one folder that is not
        # the interpreter's own goes out of the path again before any agent comes in.
        program = (
            f"import sys; sys.path.append({str(self._package)!r}); "
            "from tdev_operators.core.agents.confinement.zygote import main; sys.path.pop(); main()"
        )
        argv = [self._python, "-I", "-S", "-X", "utf8", "-c", program, ",".join(self._without)]
        most = 6 * self._limits.output_bytes + 64 * 1024
        # A byte that is no letter takes six in JSON.
        try:
            self._zygote = self._stack.enter_context(
                Conversation(argv, env={}, answer_bytes=most, user=self._user, cwd="/")
            )
            told = self._zygote.hear(seconds=_START_SECONDS)
        except BaseException:
            self._stack.close()
            raise
        self._made_of = (
            *(("an own user and network namespace",) if told.get("namespaces") else ()),
            *((f"landlock {told['landlock']}",) if told.get("landlock") else ("no landlock: no file is opened",)),
            *(what for mechanism, what in _MADE_OF.items() if mechanism not in self._without),
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def run(self, what: str, asked: Mapping[str, Any], limits: Limits | None = None) -> Answer:
        """Let code be run: `record` or `race` of `recorder`. Whatever it does, there is an answer or a refusal.

        Raises:
            CommandFailedError, TargetTimeoutError, GarbledAnswerError: the confinement itself is broken.
        """
        limits = limits or self._limits
        question = {**asked, "do": what, "limits": limits.to_json(), "libraries": self._libraries}
        ended = self._zygote.ask(question, seconds=limits.wall_seconds + _MARGIN_SECONDS)
        return _understood(ended, limits)

    def probe(self) -> Held:
        """Try every barrier; what a probe does not say is not held."""
        try:
            return Held(self._tried(), self._made_of)
        except CommandFailedError as error:
            return Held(dict.fromkeys(BARRIERS, str(error).rstrip(".")), self._made_of)

    def _tried(self) -> dict[str, str]:
        broken: dict[str, str] = {}
        with private_folder() as outer, _listening() as ends:
            folder = outer / "planted"
            folder.mkdir()
            secret = folder / "secret"
            secret.write_bytes(b"planted")
            if self._user:  # else the mode of the file would be the barrier
                outer.chmod(0o711)
                folder.chmod(0o777)
                secret.chmod(0o666)
            homes = [home for home in (os.environ.get("HOME", ""),) if home]
            shared = Path("/dev/shm", f"tdev-probe-{secrets.token_hex(8)}")  # noqa: S108  it must not come to be
            facts = {**ends, "secret": str(secret), "pid": os.getpid(), "homes": homes, "installed": self._installed()}
            together = self.run("probe", {"barrier": "together", "shared": str(shared), **facts})
            if shared.exists():
                broken["writing files"] = "shared memory was made"
                shared.unlink()
            broken = {**{str(name): str(why) for name, why in together.data.items()}, **broken}
            if list(folder.iterdir()) != [secret] or secret.read_bytes() != b"planted":
                broken["writing files"] = broken.get("writing files") or "a planted file was not left as it was"
        if together.refusal:
            broken["network"] = together.refusal
        broken.update(self._tried_alone())
        return broken

    def _installed(self) -> list[str]:
        """Return a file of each folder of installed packages, which agents must not read unless the settings say so."""
        paths = sysconfig.get_paths()
        folders = {
            *(paths[name] for name in ("purelib", "platlib")),
            *(f"{paths['stdlib']}/{one}" for one in INSTALLED),
        }
        found = []
        for folder in sorted(folders):
            if not any(Path(folder).is_relative_to(one) for one in self._libraries):
                found += [str(path) for path in Path(folder).glob("*/*.py") if os.access(path, os.R_OK)][:1]
        return found

    def _tried_alone(self) -> Iterator[tuple[str, str]]:
        limits = self._limits
        memory = self.run("probe", {"barrier": "memory"})
        yield "memory", str(memory.data.get("memory", memory.refusal or "no answer"))
        spinning = Limits(1, limits.wall_seconds + _MARGIN_SECONDS / 2, limits.memory_mb, limits.output_bytes)
        ended = self._ask_raw({"barrier": "processor time"}, spinning)
        killed = ended.get("signal") in (signal.SIGXCPU, signal.SIGKILL) and not ended.get("late")
        yield "processor time", "" if killed else "it ran on"
        sleeping = Limits(limits.cpu_seconds, _PROBE_WALL_SECONDS, limits.memory_mb, limits.output_bytes)
        ended = self._ask_raw({"barrier": "wall clock", "seconds": 4 * _PROBE_WALL_SECONDS}, sleeping)
        yield "wall clock", "" if ended.get("late") is True else "it slept on"
        talking = Limits(limits.cpu_seconds, limits.wall_seconds, limits.memory_mb, _PROBE_OUTPUT_BYTES)
        ended = self._ask_raw({"barrier": "output"}, talking)
        kept = len(str(ended.get("output", "")))
        yield "output", "" if ended.get("cut") is True and kept <= _PROBE_OUTPUT_BYTES else f"{kept} bytes came out"

    def _ask_raw(self, asked: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
        question = {**asked, "do": "probe", "limits": limits.to_json(), "libraries": self._libraries}
        return self._zygote.ask(question, seconds=limits.wall_seconds + _MARGIN_SECONDS)


def _understood(ended: Mapping[str, Any], limits: Limits) -> Answer:
    """Read an answer. That a barrier could not be put up is believed only from before the agent's code ran.

    Raises:
        CommandFailedError: that code did not even begin, which is no fault of it.
    """
    if not ended.get("begun"):
        why = str(ended.get("output", ""))[:200] or f"it ended with status {ended.get('exit')}"
        raise CommandFailedError(f"A barrier of the confinement cannot be put up ({printable(why)}).")
    if ended.get("late"):
        return Answer({}, f"it did not end within {limits.wall_seconds:g} s")
    if ended.get("cut"):
        return Answer({}, f"it answered more than {limits.output_bytes} bytes")
    if number := ended.get("signal"):
        if number in (signal.SIGXCPU, signal.SIGKILL):
            return Answer({}, f"it used more than {limits.cpu_seconds} s of processor time")
        return Answer({}, f"it was killed by signal {number}")
    try:
        data = json.loads(str(ended.get("output", "")))
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        status = ended.get("exit")
        return Answer({}, f"it ended with status {status} and no answer (memory above {limits.memory_mb} MB?)")
    if "defect" in data:
        last = str(data["defect"]).strip().rpartition("\n")[2]
        return Answer({}, f"its recording broke off ({printable(last)})")
    return Answer(data)


def printable(text: object) -> str:
    """Return the beginning of a hostile text so that it can stand in a report."""
    return "".join(sign if sign.isprintable() else "?" for sign in str(text)[:120])


@contextmanager
def _listening() -> Iterator[dict[str, Any]]:
    """Yield the addresses of ends that a confined process must not reach."""
    name = f"\0tdev-{secrets.token_hex(8)}"
    with (
        socket.create_server((_LOOPBACK, 0)) as server,
        contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as local,
    ):
        local.bind(name)
        local.listen(1)
        yield {"host": _LOOPBACK, "port": server.getsockname()[1], "abstract": name}
