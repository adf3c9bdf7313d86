"""Rotation by the real logrotate: under a running writer, and with everything that makes its exit status lie."""

import gzip
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tdev_operators.core.errors import GarbledAnswerError, InputError, ProofFailedError, TargetTimeoutError
from tdev_operators.core.health.log_lines import log_files
from tdev_operators.core.logs.rotation.configuration import complaints_of, is_considered, text_of
from tdev_operators.core.logs.rotation.effect import rotation_result
from tdev_operators.core.logs.rotation.installing import Installation
from tdev_operators.core.logs.rotation.run import RotationWanted, install_rotation
from tdev_operators.core.logs.settings import LogPattern, LogRotation
from tdev_operators.core.settings import HostSettings, load_settings
from tdev_operators.core.sql import include_dir
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.hosts.local import LocalHost
from tests.core.logs.conftest import World, line
from tests.debian import needs_debian, not_run

LOGROTATE = "/usr/sbin/logrotate"
SHIPPED = load_settings(include_dir() / "tdev.toml")


@dataclass
class Place:
    """A host's /etc/logrotate.d, its logs, and what was journalled."""

    home: Path
    changes: dict[str, Any] = field(default_factory=dict)
    journal: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    host: LocalHost = field(default_factory=lambda: LocalHost("here"))

    def __post_init__(self):
        needs_debian("logrotate", LOGROTATE)
        if os.geteuid() != 0:
            not_run("only root may install what logrotate reads")
        for folder in (self.logs, self.etc):
            folder.mkdir(mode=0o755)
        (self.home / "main.conf").write_text(f"weekly\ninclude {self.etc}\n")
        (self.home / "main.conf").chmod(0o644)

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def etc(self) -> Path:
        return self.home / "logrotate.d"

    @property
    def file(self) -> Path:
        return self.etc / "t-developer"

    @property
    def rules(self) -> LogRotation:
        here = {
            "file": str(self.file),
            "main": str(self.home / "main.conf"),
            "state": str(self.home / "state"),
            "create_user": "root",
            "create_group": "root",
            "reload": ("true",),
            "seconds": 20.0,
        }
        return SHIPPED.logs.rotation.model_copy(update={**here, **self.changes})

    @property
    def settings(self):
        logs = SHIPPED.logs.model_copy(update={"directory": str(self.logs), "rotation": self.rules})
        hosts = (HostSettings(name="here", reach="local"),)
        return SHIPPED.model_copy(update={"logs": logs, "hosts": hosts})

    def installation(self) -> Installation:
        note = lambda event, facts: self.journal.append((event, dict(facts)))  # noqa: E731
        return Installation(
            self.host, str(self.logs), self.rules, note=note, progress=lambda _: None, check=lambda: None
        )

    def install(self, **wanted):
        return install_rotation(
            {"here": self.host},
            self.settings,
            RotationWanted(**{"dry_run": False, **wanted}),
            note=lambda event, facts: self.journal.append((event, dict(facts))),
            progress=lambda _: None,
        )

    def look(self, now: datetime | None = None):
        return rotation_result({"here": self.host}, self.settings, lambda: now or datetime.now(UTC))

    @property
    def left(self) -> list[str]:
        return sorted(file.name for file in self.etc.iterdir())


@pytest.fixture
def place(tmp_path):
    tmp_path.chmod(0o755)
    return Place(tmp_path)


def test_the_guides_configuration_comes_from_the_settings():
    text = text_of("/var/log/t-developer", SHIPPED.logs.rotation)
    assert [each.strip() for each in text.splitlines()[1:]] == [
        "/var/log/t-developer/*.log {",
        "daily",
        "rotate 30",
        "compress",
        "delaycompress",
        "notifempty",
        "create 0640 t-developer t-developer",
        "nocopytruncate",
        "nodateext",
        "sharedscripts",
        "postrotate",
        "systemctl reload t-developer-evolution t-developer-api",
        "endscript",
        "}",
    ]
    assert '"/var/log/my logs/*.log" {' in text_of("/var/log/my logs/", SHIPPED.logs.rotation)
    with pytest.raises(InputError, match="a sign of its own"):
        text_of("/var/log/[x]", SHIPPED.logs.rotation)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"copytruncate": True}, "copytruncate loses what is written between the copy and the cut"),
        ({"create_mode": "rw-r-----"}, "is no mode"),
        ({"create_mode": "0666"}, "lets everybody write"),
        ({"create_user": "a b"}, "is no user or group"),
        ({"file": "/etc/logrotate.d/t.bak"}, "has a name that logrotate ignores"),
        ({"reload": ("sh", "-c", "x\nendscript")}, "control character"),
        ({"su": "root"}, "is no user and group"),
    ],
)
def test_what_would_harm_is_refused_in_the_settings(change, why):
    with pytest.raises(ValidationError, match=why):
        LogRotation.model_validate({**SHIPPED.logs.rotation.model_dump(), **change})


def test_a_dry_run_says_what_logrotate_would_do_and_leaves_nothing(place):
    (place.logs / "api.log").write_text(line(datetime.now(UTC)))
    result = place.install(dry_run=True)
    assert result.verdict is Verdict.OK
    assert result.details[0] == "here: logrotate takes the configuration; it would be put there."
    assert any("considering log" in text and "api.log" in text for text in result.details)
    assert (place.left, place.journal) == ([], [])


def test_it_is_put_in_place_proven_and_kept_with_a_way_back(place):
    (place.logs / "api.log").write_text(line(datetime.now(UTC)))
    place.file.write_text("# of somebody else\n")
    result = place.install()
    assert result.verdict is Verdict.OK, result.summary
    assert place.file.read_text() == text_of(str(place.logs), place.rules)
    assert (place.file.stat().st_mode & 0o777, place.file.stat().st_uid) == (0o644, 0)
    assert place.left == ["t-developer", "t-developer.dpkg-old"]
    assert (place.etc / "t-developer.dpkg-old").read_text() == "# of somebody else\n"
    [(event, facts)] = place.journal
    assert (event, facts["way_back"]) == ("log_rotation", f"{place.file}.dpkg-old")
    again = place.install()
    assert "it is there already" in again.details[0]
    assert len(place.journal) == 1


def test_a_word_that_logrotate_does_not_know_is_found_out_although_it_ends_with_0(place):
    """Only our own generator writes here; a logrotate that is older may know fewer words."""
    (place.logs / "api.log").write_text("x\n")
    text = text_of(str(place.logs), place.rules).replace("daily", "daily\n    frobnicate")
    (place.etc / "odd").write_text(text)
    ended = place.host.run([LOGROTATE, "-d", str(place.etc / "odd")])
    assert ended.exit_status == 0
    assert complaints_of(ended.stderr) == [f"error: {place.etc}/odd:4 unknown option 'frobnicate' -- ignoring line"]
    place.changes = {"every": "frobnicate"}
    with pytest.raises(ProofFailedError, match="unknown option 'frobnicate'"):
        place.installation().carry_out()
    assert place.left == ["odd", "t-developer.dpkg-new"]


def test_a_file_that_its_group_may_write_is_ignored_by_logrotate_and_found_out(place):
    (place.logs / "api.log").write_text("x\n")
    place.install()
    place.file.chmod(0o664)
    ended = place.host.run([LOGROTATE, "-d", str(place.file)])
    assert ended.exit_status == 0
    assert not is_considered(ended.stderr, str(place.logs))
    result = place.install()
    assert result.verdict is Verdict.CRITICAL
    assert "it is 664 root root regular file instead of 644" in result.summary


@pytest.mark.parametrize("former", [None, "# of somebody else\n"])
@pytest.mark.parametrize("trouble", ["not included", "twice"])
def test_what_the_hosts_logrotate_does_not_take_is_taken_back(place, trouble, former):
    (place.logs / "api.log").write_text("x\n")
    if former:
        place.file.write_text(former)
    if trouble == "not included":
        (place.home / "main.conf").write_text("weekly\n")
    else:
        (place.etc / "another").write_text(text_of(str(place.logs), place.rules))
        (place.etc / "another").chmod(0o644)
    result = place.install()
    assert result.verdict is Verdict.CRITICAL
    assert {"not included": "has to include", "twice": "duplicate log entry"}[trouble] in result.summary
    assert (place.file.read_text() if place.file.exists() else None) == former
    assert [event for event, _ in place.journal] == ["log_rotation", "log_rotation_way_back"]


def test_a_folder_that_others_may_write_into_needs_su_and_is_told_so(place):
    (place.logs / "api.log").write_text("x\n")
    place.logs.chmod(0o777)
    result = place.install(dry_run=True)
    assert result.verdict is Verdict.CRITICAL
    assert "insecure permissions" in result.summary
    assert "`su` of [logs.rotation]" in result.summary
    place.changes = {"su": "root root"}
    assert place.install(dry_run=True).verdict is Verdict.OK


class Killed(BaseException):
    """The worker died here."""


def test_killed_before_or_after_any_command_the_next_try_ends_it(place):
    (place.logs / "api.log").write_text(line(datetime.now(UTC)))
    place.file.write_text("# of somebody else\n")

    class Dying(LocalHost):
        said, dies = 0, None

        def run(self, argv, **options):
            self.said += 1
            if self.dies == (self.said, "before"):
                raise Killed
            ended = super().run(argv, **options)
            if self.dies == (self.said, "after"):
                raise Killed
            return ended

    place.host = Dying("here")
    place.installation().carry_out()
    commands = place.host.said
    assert commands > 8
    for step in range(1, commands + 1):
        for moment in ("before", "after"):
            for file in place.etc.iterdir():
                file.unlink()
            place.file.write_text("# of somebody else\n")
            place.host = Dying("here")
            place.host.dies = (step, moment)
            with pytest.raises(Killed):
                place.installation().carry_out()
            assert place.file.read_text() in ("# of somebody else\n", text_of(str(place.logs), place.rules))
            place.host = LocalHost("here")
            place.installation().carry_out()
            assert place.file.read_text() == text_of(str(place.logs), place.rules)
            assert (place.etc / "t-developer.dpkg-old").read_text() == "# of somebody else\n"
            assert not (place.etc / "t-developer.dpkg-new").exists()


@pytest.mark.parametrize("former", [None, "# of somebody else\n"])
@pytest.mark.parametrize("trouble", ["a time-out", "a killed worker"])
def test_what_could_not_be_proven_does_not_stay(place, trouble, former):
    (place.logs / "api.log").write_text("x\n")
    (place.home / "main.conf").write_text("weekly\n")  # logrotate will not read it
    if former:
        place.file.write_text(former)
    error = TargetTimeoutError("The command stat did not end.") if trouble == "a time-out" else Killed()

    class Failing(LocalHost):
        def run(self, argv, **options):
            if argv[0] == "stat":
                raise error
            return super().run(argv, **options)

    place.host = Failing("here")
    if trouble == "a time-out":
        result = place.install()
        assert result.verdict is Verdict.CRITICAL
        assert "could not be proven (The command stat did not end)" in result.summary
    else:
        with pytest.raises(Killed):
            place.install()
        assert place.file.read_text() == text_of(str(place.logs), place.rules)
        place.host = LocalHost("here")
        result = place.install()
        assert result.verdict is Verdict.CRITICAL
        assert "has to include" in result.summary
    assert (place.file.read_text() if place.file.exists() else None) == former
    assert not (place.etc / "t-developer.dpkg-tmp").exists()


def test_an_unproven_one_that_gets_another_text_is_not_taken_for_the_former(place):
    (place.logs / "api.log").write_text("x\n")
    place.file.write_text("# of somebody else\n")

    class Dying(LocalHost):
        def run(self, argv, **options):
            if argv[0] == "stat":
                raise Killed
            return super().run(argv, **options)

    place.host = Dying("here")
    with pytest.raises(Killed):
        place.install()
    place.host, place.changes = LocalHost("here"), {"rotate": 7}
    (place.home / "main.conf").write_text("weekly\n")
    assert place.install().verdict is Verdict.CRITICAL
    assert place.file.read_text() == "# of somebody else\n"


def test_one_that_was_proven_once_is_not_taken_back(place):
    (place.logs / "api.log").write_text("x\n")
    place.file.write_text("# of somebody else\n")
    assert place.install().verdict is Verdict.OK
    (place.home / "main.conf").write_text("weekly\n")
    assert place.install().verdict is Verdict.CRITICAL
    assert place.file.read_text() == text_of(str(place.logs), place.rules)


@pytest.mark.parametrize(
    ("stdout", "stderr", "why"),
    [
        ("", "", "those of process 1 do not show"),
        ("/proc/1/fd/0\x005\x007\x00", "find: '/proc/9/fd': Permission denied", "'/proc/9/fd': Permission denied"),
    ],
)
def test_sabotage_where_not_all_open_files_can_be_seen_silence_proves_nothing(place, stdout, stderr, why):
    (place.logs / "api.log").write_text(line(datetime.now(UTC)))
    place.install()

    class Blind(LocalHost):
        def run(self, argv, **options):
            ended = super().run(argv, **options)
            return replace(ended, stdout=stdout, stderr=stderr, exit_status=1) if "/proc" in argv else ended

    place.host = Blind("here")
    with pytest.raises(ProofFailedError, match=re.escape(why)):
        place.installation().prove(seconds=0.6)


def test_where_all_open_files_can_be_seen_none_that_is_held_is_the_proof(place):
    (place.logs / "api.log").write_text(line(datetime.now(UTC)))
    place.install()

    class Seeing(LocalHost):
        def run(self, argv, **options):
            ended = super().run(argv, **options)
            return replace(ended, stdout="/proc/1/fd/0\x005\x007\x00", stderr="") if "/proc" in argv else ended

    place.host = Seeing("here")
    assert "no process holds the old one" in place.installation().prove().told[0]


def test_a_log_is_held_by_its_inode_whatever_its_name_is_to_the_process(place):
    log = place.logs / "api.log"
    log.write_text(line(datetime.now(UTC)))
    place.install()
    other = place.home / "mounted.elsewhere"
    os.link(log, other)
    with other.open("a"):
        other.unlink()
        with pytest.raises(ProofFailedError, match=r"still hold .*api\.log\.1"):
            place.installation().prove(seconds=0.6)


class Writer:
    """The running service, and how it is reloaded."""

    def __init__(self, place: Place, kind: str = "well") -> None:
        self.pidfile = place.home / "pid"
        program = Path(__file__).with_name("writer.py")
        argv = [sys.executable, program, place.logs / "engine.log", self.pidfile, kind]
        self._child = subprocess.Popen([*map(str, argv)])
        place.changes["reload"] = ("sh", "-c", f"kill -HUP $(cat {shlex.quote(str(self.pidfile))})")
        deadline = time.monotonic() + 10
        while not self.pidfile.exists() or not (place.logs / "engine.log").stat().st_size:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def stop(self) -> int:
        """End it, and return how many lines it wrote."""
        self._child.send_signal(signal.SIGTERM)
        self._child.wait(10)
        return int(Path(f"{self.pidfile}.count").read_text())


def lines_of_all_generations(place: Place) -> list[int]:
    numbers = []
    for file in place.logs.glob("engine.log*"):
        data = file.read_bytes()
        text = gzip.decompress(data) if file.name.endswith(".gz") else data
        numbers += [int(found) for found in re.findall(rb"line (\d+) of the writer\n", text)]
    return numbers


def test_over_ten_rotations_a_running_writer_loses_no_line(place):
    writer = Writer(place)
    try:
        place.install()
        for _ in range(10):
            time.sleep(0.05)
            told = place.installation().prove().told
            assert "holds the old one" in told[0]
    finally:
        written = writer.stop()
    numbers = lines_of_all_generations(place)
    assert len(numbers) == written > 1000
    assert sorted(numbers) == list(range(written)), "each line once"
    generations = sorted(file.name for file in place.logs.iterdir())
    assert generations == sorted(
        ["engine.log", "engine.log.1", *(f"engine.log.{number}.gz" for number in range(2, 11))]
    )
    assert place.look().verdict is Verdict.OK, place.look().summary


def test_what_is_counted_while_it_is_rotated_under_a_writer_is_what_was_written(place):
    """Analysed again and again, by tokens, while files are renamed, packed and written."""
    pattern = LogPattern(name="lines", regex="of the writer", example="of the writer", unusual=False)
    world = World(place.logs, patterns=(pattern,))
    writer = Writer(place)
    counts = []

    def analysed():
        world.now = datetime.now(UTC)
        results = world.analyse()
        assert results["reading"].verdict is Verdict.OK, results["reading"]
        counts.append(world.count("lines", results))

    try:
        place.install()
        for _ in range(6):
            analysed()
            place.installation().prove()
            rotating = threading.Thread(target=place.installation().prove)
            rotating.start()
            analysed()
            rotating.join()
    finally:
        written = writer.stop()
    analysed()
    assert counts == sorted(counts)
    assert counts[-1] == written


def test_sabotage_a_writer_that_the_reload_does_not_reach_is_found_out_twice(place):
    writer = Writer(place, "deaf")
    try:
        place.install()
        with pytest.raises(ProofFailedError, match=r"still hold .*engine\.log\.1"):
            place.installation().prove(seconds=1.0)
        first, now = place.logs / "engine.log.1", datetime.now(UTC)
        assert place.look().verdict is Verdict.OK, "within two minutes it may be reloading"
        (place.logs / "engine.log").write_text(line(now - timedelta(minutes=10)))
        (place.logs / "engine.log").chmod(0o640)
        late = place.look()
    finally:
        writer.stop()
    assert first.stat().st_size
    assert late.verdict is Verdict.CRITICAL
    assert "still writes into engine.log.1" in late.summary


def test_sabotage_a_reload_that_makes_nothing_anew_is_found_out(place):
    (place.logs / "api.log").write_text(line(datetime.now(UTC)))
    place.install()
    real = place.host.run

    class Lying(LocalHost):
        def run(self, argv, **options):
            if "-f" in argv and argv[0] == LOGROTATE:
                return real(["true"])
            return super().run(argv, **options)

    place.host = Lying("here")
    with pytest.raises(ProofFailedError, match="it is the same file still"):
        place.installation().prove()


def test_with_no_line_nothing_can_be_proven(place):
    place.install()
    (place.logs / "api.log").touch()
    with pytest.raises(ProofFailedError, match="nothing can be proven"):
        place.installation().prove()


@pytest.fixture
def rotated(place):
    """A log as it lies there after some days, all of it well."""
    now = datetime.now(UTC)
    (place.logs / "api.log").write_text("x\n")
    place.install()
    for number, age in ((0, 0), (1, 1), (2, 2), (3, 3)):
        text = line(now - timedelta(days=age, hours=1)) * 5
        file = place.logs / f"api.log{f'.{number}' if number else ''}{'.gz' if number > 1 else ''}"
        file.write_bytes(gzip.compress(text.encode()) if number > 1 else text.encode())
        file.chmod(0o640)
        stamp = (now - timedelta(days=age)).timestamp()
        os.utime(file, (stamp, stamp))
    return place


def test_a_log_that_is_rotated_well_is_green(rotated):
    result = rotated.look()
    assert result.verdict is Verdict.OK, result.summary
    assert result.coverage.seen == ("here: api.log",)


@pytest.mark.parametrize(
    ("harm", "verdict", "said"),
    [
        (lambda place: (place.logs / "api.log").chmod(0o644), Verdict.WARNING, "is 0644 root root instead of 0640"),
        (lambda place: (place.logs / "api.log").chmod(0o666), Verdict.CRITICAL, "is 0666 root root"),
        (lambda place: os.chown(place.logs / "api.log", 1, 0), Verdict.WARNING, "is 0640 daemon root"),
        (
            lambda place: (place.logs / "api.log").write_text(line(datetime.now(UTC) - timedelta(days=5)) * 2),
            Verdict.CRITICAL,
            "holds lines that are 5 d old: it is not rotated daily",
        ),
        (
            lambda place: (place.logs / "api.log.2.gz").write_bytes(gzip.compress(os.urandom(9000))[:-100]),
            Verdict.CRITICAL,
            "api.log.2.gz on here is damaged",
        ),
        (lambda place: (place.logs / "api.log.4").write_text("x\n"), Verdict.WARNING, "Not packed on here: api.log.4"),
        (
            lambda place: (place.logs / "api.log.1").write_text(line(datetime.now(UTC))),
            Verdict.CRITICAL,
            "still writes into api.log.1",
        ),
        (
            lambda place: [
                (place.logs / f"api.log.{number}.gz").write_bytes(gzip.compress(b"x")) for number in range(4, 35)
            ],
            Verdict.WARNING,
            "more than 30",
        ),
        (lambda place: place.file.unlink(), Verdict.WARNING, "cannot be read"),
        (lambda place: place.file.write_text("# changed\n"), Verdict.WARNING, "is not what [logs.rotation] says"),
        (lambda place: [file.unlink() for file in place.logs.iterdir()], Verdict.UNKNOWN, "holds no log"),
    ],
)
def test_sabotage_each_thing_that_is_not_as_it_should_be_turns_it_red(rotated, harm, verdict, said):
    harm(rotated)
    result = rotated.look()
    assert (result.verdict, said in result.summary) == (verdict, True), result.summary


def test_a_disk_that_is_full_while_logrotate_packs_is_told(place, supervisor):
    from tests.small_disks import SmallDisk

    disk = SmallDisk(supervisor, "rotation", 4 * 1024 * 1024)
    small = Place(place.home / "small") if (place.home / "small").mkdir() is None else place
    folder = disk.folder / "logs"
    folder.mkdir(mode=0o755)
    small.logs.rmdir()
    small.logs.symlink_to(folder)
    disk.folder.chmod(0o755)
    (folder / "api.log").write_bytes(os.urandom(500_000) + b"\n")
    (folder / "api.log.1").write_bytes(os.urandom(1_500_000))
    small.install()
    disk.fill(leave=64 * 1024)
    with pytest.raises(ProofFailedError, match=r"logrotate on here says: .*error"):
        small.installation().prove()


def test_another_host_than_those_of_the_settings_is_refused(place):
    with pytest.raises(InputError, match=r"none of .*hosts.*choose one of here"):
        place.install(host="there")


def test_a_host_that_is_away_is_unknown_and_holds_up_no_other(place):
    (place.logs / "api.log").write_text("x\n")
    settings = place.settings
    hosts = (HostSettings(name="away", reach="local"), *settings.hosts)
    from tdev_operators.core.errors import TargetUnreachableError

    class Away(LocalHost):
        def run(self, argv, **options):
            raise TargetUnreachableError("The host away does not answer; see it.")

    result = install_rotation(
        {"here": place.host, "away": Away("away")},
        settings.model_copy(update={"hosts": hosts}),
        RotationWanted(dry_run=False),
        note=lambda *_: None,
    )
    assert result.verdict is Verdict.UNKNOWN
    assert result.coverage.seen == ("here",)
    assert place.file.exists()


class Answering(LocalHost):
    """A host that answers to find as another one would."""

    def __init__(self, change):
        super().__init__("here")
        self._change = change

    def run(self, argv, **options):
        ended = super().run(argv, **options)
        return self._change(ended) if argv[0] == "find" else ended


def test_a_group_with_a_blank_in_its_name_is_a_group_like_others(rotated):
    rotated.host = Answering(lambda ended: replace(ended, stdout=ended.stdout.replace("root\0", "domain users\0")))
    result = rotated.look()
    assert result.verdict is Verdict.WARNING
    assert "is 0640 domain users domain users instead of" in result.summary


def test_a_list_of_files_that_was_cut_is_none(rotated):
    rotated.host = Answering(lambda ended: replace(ended, stdout=ended.stdout[:-30], truncated=True))
    result = rotated.look()
    assert result.verdict is Verdict.UNKNOWN
    assert "too many files to list" in result.coverage.skipped["here"]
    for rest in ("", "7\0" * 2):
        rotated.host = Answering(lambda ended, rest=rest: replace(ended, stdout=ended.stdout[:-30] + rest))
        with pytest.raises(GarbledAnswerError, match="no list of files"):
            log_files(rotated.host, str(rotated.logs))


def test_an_odd_host_hides_no_other(rotated):
    class Odd(LocalHost):
        def run(self, argv, **options):
            raise ValueError("odd")

    settings = rotated.settings
    hosts = (HostSettings(name="odd", reach="local"), *settings.hosts)
    result = rotation_result(
        {"here": rotated.host, "odd": Odd("odd")},
        settings.model_copy(update={"hosts": hosts}),
        lambda: datetime.now(UTC),
    )
    assert result.verdict is Verdict.UNKNOWN
    assert result.coverage.seen == ("here: api.log",)
    assert list(result.coverage.skipped) == ["odd"]
