"""security.failed_logins: real files, real find, grep and zgrep."""

import gzip
import os
from datetime import timedelta

import pytest

from tdev_operators.core.errors import TargetUnreachableError
from tdev_operators.core.health.security import failed_logins
from tdev_operators.core.ports import CommandOutput
from tdev_operators.core.settings import HostSettings
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.hosts.local import LocalHost
from tdev_operators.hooks.http_api import USER_AGENT

FAILED = 'WARNING api Authentication failed for GET /agents from 198.51.100.7: wrong token, user agent "curl/8"'
OWN = f'WARNING api Authentication failed for GET /agents from 10.0.0.1: no token, user agent "{USER_AGENT}"'
FINE = "INFO api GET /agents 200 5 ms from 10.0.0.2"


@pytest.fixture
def logs(tmp_path, fakes):
    """Return a function that writes a log file from (minutes ago, text) pairs."""

    def write(name, *lines):
        text = "".join(
            (fakes.now - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%S.123Z ") + what + "\n"
            for minutes, what in lines
        ).encode()
        file = tmp_path / name
        file.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
        newest = (fakes.now - timedelta(minutes=min((minutes for minutes, _ in lines), default=0))).timestamp()
        os.utime(file, (newest, newest))
        return file

    return write


@pytest.fixture
def look(ports, change, tmp_path):
    def go(host=None, directory=None, **limits):
        settings = change(
            {
                "hosts": (HostSettings(name="here", reach="local"),),
                "logs.directory": str(directory or tmp_path),
                **{f"health.security.{name}": value for name, value in limits.items()},
            }
        )
        return failed_logins.check(ports(hosts={"here": host or LocalHost("here")}), settings)

    return go


def counts(result):
    figures = {m.name: m.value for m in result.measurements}
    return tuple(figures[name] for name in ("failed logins in the last hour", "failed logins in the last 24 h"))


def test_plain_rotated_and_compressed_files_are_counted(look, logs):
    logs("api.log", (5, FINE), (50, FAILED), (70, FAILED), (1, "ERROR api Unauthorized"))
    logs("api.log.1", (20 * 60, FAILED), (25 * 60, FAILED))
    logs("other.log.2.gz", (23 * 60, FAILED), (26 * 60, FAILED))
    logs("notes.txt", (1, FAILED))
    logs(".api.log.unfinished", (1, FAILED))
    result = look()
    assert counts(result) == (2, 5)
    assert result.verdict is Verdict.OK
    assert result.coverage.data_age_seconds == pytest.approx(60, abs=2)


@pytest.mark.parametrize(
    ("minutes", "number", "verdict"),
    [
        (30, 19, Verdict.OK),
        (30, 20, Verdict.WARNING),
        (30, 100, Verdict.CRITICAL),
        (300, 99, Verdict.OK),
        (300, 500, Verdict.CRITICAL),
    ],
)
def test_against_the_limits(look, logs, minutes, number, verdict):
    logs("api.log", *[(minutes, FAILED)] * number, (1, FINE))
    result = look()
    assert result.verdict is verdict
    assert f"{number} in the last 24 h" in result.summary


def test_our_own_probes_are_left_out(look, logs):
    logs("api.log", *[(30, OWN)] * 60, (1, FINE))
    result = look()
    assert result.verdict is Verdict.OK
    assert counts(result) == (0, 0)
    assert {m.name: m.value for m in result.measurements}["own probes left out"] == 60


def test_who_borrows_our_mark_shows_up(look, logs):
    logs("api.log", *[(30, OWN)] * 260, (1, FINE))
    result = look()
    assert counts(result) == (200, 200)
    assert result.verdict is Verdict.CRITICAL


def test_bytes_that_are_no_text_hide_nothing(look, logs):
    file = logs("api.log", *[(30, FAILED)] * 100)
    file.write_bytes(b"\0\xff\xfe binary\n" + file.read_bytes() + b"\0" * 5000 + b"\n")
    os.utime(file)
    logs("other.log", (1, FINE))
    assert counts(look())[0] == 100


def test_no_folder_is_unknown(look, tmp_path):
    result = look(directory=tmp_path / "missing")
    assert result.verdict is Verdict.UNKNOWN
    assert "No such file or directory" in result.summary
    assert result.because_of == ""


def test_no_log_is_unknown(look):
    assert "holds no log" in look().summary


def test_stale_logs_are_unknown(look, logs):
    logs("api.log", (91, FINE))
    result = look()
    assert result.verdict is Verdict.UNKNOWN
    assert "api.log is stale, the newest line: 91 min old" in result.summary


def test_another_log_does_not_keep_the_stale_one_fresh(look, logs):
    logs("api.log", (91, FINE))
    logs("evolution.log", (1, "INFO evolution Generation 7"))
    result = look()
    assert result.verdict is Verdict.UNKNOWN
    assert "api.log is stale" in result.summary


def test_the_log_of_the_failed_logins_must_be_somewhere(look, logs):
    logs("evolution.log", (1, "INFO evolution Generation 7"))
    result = look()
    assert result.verdict is Verdict.UNKNOWN
    assert "api.log was not looked at (no host writes it" in result.summary


def test_a_rotated_log_is_of_its_family(look, logs):
    logs("api.log.1", (30, FINE))
    assert look().verdict is Verdict.OK


def test_a_name_with_control_characters_is_given_to_no_program_and_said(look, logs):
    logs("api.log", (1, FINE))
    logs("api.log\n.2.gz", (30, FAILED))
    result = look()
    assert result.verdict is Verdict.UNKNOWN
    assert "1 names hold control characters and were not read: " in result.summary
    assert "\n" not in result.summary
    assert counts(result) == (0, 0)


def test_matches_that_do_not_arrive_are_unknown(look, logs, fakes):
    logs("api.log", *[(30, FAILED)] * 3, (1, FINE))
    real = LocalHost("here")

    class Losing:
        name = "here"

        def run(self, argv, **keywords):
            ended = real.run(argv, **keywords)
            return CommandOutput(ended.exit_status, "" if "grep" in argv else ended.stdout, ended.stderr)

    result = look(host=Losing())
    assert result.verdict is Verdict.UNKNOWN
    assert "found lines and printed none" in result.summary


def test_logs_without_times_are_unknown(look, logs, tmp_path):
    (tmp_path / "api.log").write_text("Authentication failed\n")
    assert "none bears a time" in look().summary


def test_a_damaged_archive_is_unknown(look, logs):
    logs("api.log", (1, FINE))
    damaged = logs("api.log.2.gz", (60, FAILED))
    damaged.write_bytes(damaged.read_bytes()[:30])
    result = look()
    assert result.verdict is Verdict.UNKNOWN
    assert "zgrep could not read" in result.summary


def test_more_lines_than_are_read_is_never_green(look, logs, fakes):
    logs("api.log", *[(30, FAILED)] * 3, (1, FINE))
    real = LocalHost("here")

    class Cutting:
        name = "here"

        def run(self, argv, **keywords):
            ended = real.run(argv, **keywords)
            cut = "grep" in argv
            return CommandOutput(ended.exit_status, ended.stdout, ended.stderr, truncated=cut)

    result = look(host=Cutting())
    assert result.verdict is Verdict.UNKNOWN
    assert "more matching lines than are read" in result.summary


def test_a_dead_host_is_unknown_and_explained(look, fakes):
    result = look(host=fakes.Host({"find": TargetUnreachableError("Gone.")}))
    assert result.verdict is Verdict.UNKNOWN
    assert result.because_of == "infrastructure.hosts_reachable"


def test_the_mark_is_that_of_our_requests():
    assert failed_logins.PROBE_MARK == USER_AGENT
