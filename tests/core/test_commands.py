"""`run` against real processes: bounds, time limits, and what is left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tdev_operators.core import commands, processes
from tdev_operators.core.errors import CommandFailedError, InputError, TargetTimeoutError


def _python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code, *arguments]


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        return False


def _eventually(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def _pid_in(file: Path) -> int:
    assert _eventually(lambda: file.exists() and file.read_text().endswith("\n"))
    return int(file.read_text())


def test_both_streams_and_the_exit_status_come_back() -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)"
    output = commands.run(_python(code), timeout_seconds=20)
    assert (output.exit_status, output.stdout, output.stderr) == (7, "out\n", "err\n")
    assert not output.truncated


def test_a_signal_shows_as_negative_exit_status() -> None:
    output = commands.run(["sh", "-c", "kill -KILL $$"], timeout_seconds=20)
    assert output.exit_status == -signal.SIGKILL


def test_more_input_and_output_than_a_pipe_holds_pass_at_once() -> None:
    data = os.urandom(1_000_000).hex().encode()
    output = commands.run(["cat"], stdin=data, timeout_seconds=20, output_limit_bytes=4 * commands.MIB)
    assert output.stdout.encode() == data


def test_a_command_that_reads_no_input_is_no_fault() -> None:
    assert commands.run(["true"], stdin=b"x" * 1_000_000, timeout_seconds=20).exit_status == 0


def test_output_without_end_is_cut_drained_and_said() -> None:
    code = "import sys\nfor stream in (sys.stdout, sys.stderr):\n    for _ in range(300): stream.write('x' * 10_000)"
    output = commands.run(_python(code), timeout_seconds=20, output_limit_bytes=1000)
    assert output.truncated
    assert output.exit_status == 0  # it was drained to its end, not stopped
    assert (len(output.stdout), len(output.stderr)) == (1000, 1000)


def test_output_of_exactly_the_limit_is_whole() -> None:
    output = commands.run(["printf", "12345"], timeout_seconds=20, output_limit_bytes=5)
    assert (output.stdout, output.truncated) == ("12345", False)


def test_an_endless_printer_ends_at_its_time_limit_in_bounded_memory() -> None:
    with pytest.raises(TargetTimeoutError, match=r"^The command yes did not end within 0\.5 s and was killed"):
        commands.run(["yes"], timeout_seconds=0.5, output_limit_bytes=1000)


def test_the_time_limit_ends_the_whole_group_though_it_ignores_sigterm(tmp_path: Path) -> None:
    child = tmp_path / "child"
    script = f'trap "" TERM; (trap "" TERM; sh -c \'echo $PPID\' > {child}; sleep 600) & wait; sleep 600'
    started = time.monotonic()
    with pytest.raises(TargetTimeoutError):
        commands.run(["sh", "-c", script], timeout_seconds=0.7)
    assert time.monotonic() - started < 10
    assert _eventually(lambda: not _is_alive(_pid_in(child)))


def test_a_command_may_tidy_up_on_sigterm(tmp_path: Path) -> None:
    mark = tmp_path / "tidied"
    script = f'trap "touch {mark}; exit 0" TERM; while :; do sleep 0.05; done'
    with pytest.raises(TargetTimeoutError):
        commands.run(["sh", "-c", script], timeout_seconds=0.7)
    assert mark.exists()


def test_what_a_command_leaves_running_is_killed_with_its_end(tmp_path: Path) -> None:
    left = tmp_path / "left"
    started = time.monotonic()
    output = commands.run(["sh", "-c", f"sleep 600 & echo $! > {left}; echo done"], timeout_seconds=60)
    assert output.stdout == "done\n"
    assert time.monotonic() - started < 10
    assert _eventually(lambda: not _is_alive(_pid_in(left)))


def test_a_daemon_that_keeps_the_streams_open_does_not_hold_us(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    started = time.monotonic()
    try:
        script = f"setsid sh -c 'echo $$ > {pid}; exec sleep 600' & while [ ! -s {pid} ]; do sleep 0.05; done; echo up"
        output = commands.run(["sh", "-c", script], timeout_seconds=60)
        assert output.stdout == "up\n"
        assert time.monotonic() - started < 10
        assert _is_alive(_pid_in(pid))  # it left the group on purpose
    finally:
        os.kill(_pid_in(pid), signal.SIGKILL)


def test_children_and_grandchildren_die_when_we_are_killed(tmp_path: Path) -> None:
    child, grandchild = tmp_path / "child", tmp_path / "grandchild"
    script = f"sh -c 'echo $$ > {grandchild}; sleep 600' & echo $$ > {child}; wait"
    code = (
        "import sys; from tdev_operators.core import commands;"
        "commands.run(['sh', '-c', sys.argv[1]], timeout_seconds=600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, script])
    try:
        pids = [_pid_in(child), _pid_in(grandchild)]
        assert all(map(_is_alive, pids))
    finally:
        parent.kill()
        parent.wait()
    assert _eventually(lambda: not any(map(_is_alive, pids)))


def test_no_process_and_no_descriptor_is_left_after_many_commands_in_threads() -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    def children() -> set[str]:
        return set(" ".join(f.read_text() for f in Path("/proc/self/task").glob("*/children")).split())

    before, children_before = descriptors(), children()
    statuses: list[int] = []

    def work() -> None:
        statuses.extend(commands.run(["sh", "-c", "exit 3"], timeout_seconds=60).exit_status for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [3] * 20
    assert _eventually(lambda: descriptors() <= before)
    assert children() <= children_before


@pytest.mark.parametrize("name", ["no-such-command-here", "/no/such/command", "/etc/passwd"])
def test_a_missing_executable_is_an_input_error_with_the_hint(name: str) -> None:
    with pytest.raises(InputError, match=rf"^There is no command {name} on this machine; apt-get install it\.$"):
        commands.run([name], timeout_seconds=20, install_hint="apt-get install it")


def test_a_nul_character_is_an_input_error() -> None:
    with pytest.raises(InputError, match="NUL"):
        commands.run(["echo", "a\0b"], timeout_seconds=20)


def test_what_the_system_cannot_start_is_said_without_the_arguments(tmp_path: Path) -> None:
    no_program = tmp_path / "no-program"
    no_program.write_bytes(b"\x7fELF nothing")
    no_program.chmod(0o755)
    with pytest.raises(CommandFailedError, match="Exec format error") as caught:
        commands.run([str(no_program), "argument"], timeout_seconds=20)
    assert "argument" not in str(caught.value)


def test_a_child_sees_only_what_it_needs_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_TDEV_POSTGRES", "postgres://user:s3cret@host/db")
    monkeypatch.setenv("PGPASSWORD", "s3cret")
    output = commands.run(["env"], timeout_seconds=20, env={"PGUSER": "backup"})
    assert "s3cret" not in output.stdout
    assert "PGUSER=backup" in output.stdout.splitlines()
    assert "LC_ALL=C.UTF-8" in output.stdout.splitlines()


def test_what_cannot_be_killed_does_not_hold_us(monkeypatch: pytest.MonkeyPatch) -> None:
    # A process that waits inside the kernel takes no signal; here none is sent.
    made: list[subprocess.Popen[bytes]] = []
    popen = processes._popen
    monkeypatch.setattr(
        processes, "_popen", lambda *args, **keywords: made.append(popen(*args, **keywords)) or made[-1]
    )
    monkeypatch.setattr(os, "killpg", lambda *_: None)
    started = time.monotonic()
    try:
        with pytest.raises(CommandFailedError, match=r"^Process \d+ was killed and does not end"):
            commands.run(["sleep", "600"], timeout_seconds=0.2)
        assert time.monotonic() - started < 15
    finally:
        for process in made:
            process.kill()
            process.wait()


def test_it_costs_little() -> None:
    started = time.monotonic()
    for _ in range(20):
        commands.run(["true"], timeout_seconds=20)
    assert time.monotonic() - started < 10  # 0.1 s here; a bound that only an accident breaks


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_running_command_shows_its_streams_and_then_its_status() -> None:
    code = "import sys, time\nprint('first', flush=True)\nprint('woe', file=sys.stderr)\nsys.stdin.read()\nsys.exit(4)"
    go_on = threading.Event()

    def chunks() -> Iterator[bytes]:
        go_on.wait(20)
        yield b"x"

    with commands.running(_python(code), env={}, stdin=chunks()) as command:
        assert _eventually(lambda: (command.stdout, command.stderr) == ("first\n", "woe\n"))
        assert command.poll() is None
        assert _is_alive(command.pid)
        with pytest.raises(TargetTimeoutError, match=r"did not end within 0\.1 s"):
            command.wait(0.1)
        go_on.set()
        assert command.wait(20) == 4
        assert command.poll() == 4


def test_leaving_the_block_kills_the_group(tmp_path: Path) -> None:
    left = tmp_path / "left"
    with commands.running(["sh", "-c", f"sleep 600 & echo $! > {left}; wait"], env={}) as command:
        grandchild = _pid_in(left)
    assert _eventually(lambda: not _is_alive(grandchild) and not _is_alive(command.pid))


def test_a_running_command_gets_no_input_unless_it_is_given_some() -> None:
    with commands.running(["cat"], env={}) as command:
        assert command.wait(20) == 0


def test_what_it_prints_goes_where_it_is_wanted_and_waits_there() -> None:
    taken: list[bytes] = []
    gate = threading.Event()

    def take(chunk: bytes) -> None:
        gate.wait(20)
        taken.append(chunk)

    with commands.running(["head", "-c", "3000000", "/dev/zero"], env={}, on_stdout=take) as command:
        time.sleep(1.5)  # longer than the grace for leftovers
        assert command.poll() is None
        assert _is_alive(command.pid)  # it blocks, for nobody reads on
        gate.set()
        assert command.wait(20) == 0
    assert sum(map(len, taken)) == 3_000_000
    assert command.stdout == ""


def test_what_ended_long_ago_is_still_read_whole_by_a_slow_reader() -> None:
    taken: list[bytes] = []

    def take(chunk: bytes) -> None:
        time.sleep(0.3)
        taken.append(chunk[:1])

    script = "for i in 1 2 3 4 5 6; do echo $i; sleep 0.05; done"
    with commands.running(["sh", "-c", script], env={}, on_stdout=take) as command:
        assert command.wait(20) == 0
    assert taken


@pytest.mark.parametrize("side", ["stdin", "on_stdout"])
def test_an_error_of_ours_kills_the_command_and_comes_back(side: str, tmp_path: Path) -> None:
    mark = tmp_path / "took-the-end-for-a-good-one"

    def chunks() -> Iterator[bytes]:
        yield b"BEGIN\n"
        if side == "stdin":
            raise ValueError("the source broke")
        time.sleep(600)

    def take(_chunk: bytes) -> None:
        if side == "on_stdout":
            raise ValueError("the sink broke")

    with (
        pytest.raises(ValueError, match="broke"),
        commands.running(["sh", "-c", f"cat && touch {mark}"], env={}, stdin=chunks(), on_stdout=take) as command,
    ):
        command.wait(20)
    assert not mark.exists()


def test_a_paused_group_stands_still_goes_on_and_can_be_ended(tmp_path: Path) -> None:
    child = tmp_path / "child"
    # It starts no more processes: one that is stopped while it does is in another state ("D").
    with commands.running(["sh", "-c", f"sleep 600 & echo $! > {child}; wait"], env={}) as command:
        pids = [command.pid, _pid_in(child)]
        command.pause()
        assert _eventually(lambda: [_state(pid) for pid in pids] == ["T", "T"])
        command.resume()
        assert _eventually(lambda: "T" not in [_state(pid) for pid in pids])
        command.pause()
        started = time.monotonic()
        command.terminate()
        assert time.monotonic() - started < 5
        assert command.wait(5) == -signal.SIGTERM


def test_a_paused_group_dies_when_we_are_killed(tmp_path: Path) -> None:
    child = tmp_path / "child"
    code = (
        "import sys, time; from tdev_operators.core import commands\n"
        "with commands.running(['sh', '-c', sys.argv[1]], env={}) as command:\n"
        "    time.sleep(0.5); command.pause(); print('paused', flush=True); time.sleep(600)"
    )
    script = f"echo $$ > {child}; while :; do sleep 0.05; done"
    parent = subprocess.Popen([sys.executable, "-c", code, script], stdout=subprocess.PIPE)
    try:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"paused\n"
        pid = _pid_in(child)
        assert _state(pid) == "T"
    finally:
        parent.kill()
        parent.communicate()
    assert _eventually(lambda: not _is_alive(pid))


def test_a_running_command_has_its_folder_and_its_user(tmp_path: Path) -> None:
    with commands.running(["sh", "-c", "id -un; pwd"], env={}, user="nobody", cwd="/") as command:
        assert command.wait(20) == 0
    assert command.stdout.splitlines() == ["nobody" if os.geteuid() == 0 else command.stdout.splitlines()[0], "/"]
    if os.geteuid() == 0:
        with (
            pytest.raises(InputError, match="no user nobody-at-all"),
            commands.running(["true"], env={}, user="nobody-at-all"),
        ):
            pass


def test_a_daemon_that_keeps_the_streams_open_does_not_hold_a_running_command(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    try:
        script = f"setsid sh -c 'echo $$ > {pid}; exec sleep 600' & while [ ! -s {pid} ]; do sleep 0.05; done; echo up"
        with commands.running(["sh", "-c", script], env={}) as command:
            assert command.wait(10) == 0
            assert command.stdout == "up\n"
    finally:
        os.kill(_pid_in(pid), signal.SIGKILL)


def test_a_reader_that_never_returns_does_not_hold_us() -> None:
    started = time.monotonic()
    hang = threading.Event()
    with commands.running(["yes"], env={}, on_stdout=lambda _: bool(hang.wait(60)) and None):
        time.sleep(0.2)
    assert time.monotonic() - started < 10
    hang.set()


def test_no_thread_and_no_descriptor_of_running_commands_is_left() -> None:
    def left() -> tuple[int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    before = left()
    for number in range(10):
        with commands.running(["sh", "-c", "echo x; exit 3"], env={}, stdin=[b"y"]) as command:
            if number % 2:
                assert command.wait(20) == 3
    assert _eventually(lambda: left() <= before)
