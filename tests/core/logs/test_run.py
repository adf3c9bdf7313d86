"""The whole analysis on a real folder: rotated, truncated, damaged; day after day; and each proof turned red."""

import gzip
import os
from datetime import timedelta

import pytest

from tdev_operators.core.errors import TargetUnreachableError
from tdev_operators.core.logs.baseline import Usual, days_before
from tdev_operators.core.logs.matching import Matching
from tdev_operators.core.settings import HostSettings
from tdev_operators.core.verdicts import Verdict
from tdev_operators.hooks.hosts.local import LocalHost
from tests.core.logs.conftest import line


def errors(count, when, message="broken"):
    return "".join(
        line(when + timedelta(milliseconds=number), "ERROR", "api", f"{message} {number}") for number in range(count)
    )


def test_a_quiet_day_is_green_and_says_what_it_rests_on(plain):
    results = plain.analyse()
    assert list(results) == [
        "reading",
        "errors",
        "warnings",
        "evolution_failures",
        "constraint_violations",
        "security_events",
        "new_shapes",
    ]
    assert {result.verdict for result in results.values()} == {Verdict.OK}, results
    reading = results["reading"]
    assert reading.coverage.canary_found is True
    assert reading.coverage.tool.startswith("hyperscan ")
    assert reading.coverage.seen == (f"here:{plain.folder}: api.log",)
    assert 0 < reading.coverage.data_age_seconds <= 3600
    assert sum(point.value for point in reading.series[0].points) == 240


@pytest.mark.parametrize(("count", "verdict"), [(99, Verdict.OK), (100, Verdict.WARNING), (1000, Verdict.CRITICAL)])
def test_the_guides_hundred_errors(plain, count, verdict):
    plain.write("api.log", errors(count, plain.ago(hours=2)), more=True)
    results = plain.analyse()
    assert results["errors"].verdict is verdict
    assert plain.count("errors", results) == count
    assert "ERROR api" in results["errors"].summary
    assert [each[:7] for each in results["errors"].details[-2:]] == ["first: ", "last: 2"]


def test_the_next_run_reads_what_is_new_and_tells_the_whole_day(plain):
    plain.write("api.log", errors(30, plain.ago(hours=2)), more=True)
    assert plain.count("errors") == 30
    plain.now += timedelta(hours=1)
    plain.write("api.log", errors(12, plain.now - timedelta(minutes=5)), more=True)
    results = plain.analyse()
    assert plain.count("errors", results) == 42
    assert results["reading"].measurements[1].value < 0.01, "only the twelve were read"
    plain.now += timedelta(hours=23)
    plain.write("api.log", line(plain.now), more=True)
    assert plain.count("errors") == 12, "the thirty are older than a day"


def test_nothing_is_counted_twice_or_lost_over_rotations_of_every_kind(plain):
    folder, log = plain.folder, plain.folder / "api.log"
    total = 0

    def more(count):
        nonlocal total
        plain.now += timedelta(minutes=10)
        with log.open("a") as file:
            file.write(errors(count, plain.now - timedelta(minutes=1)))
        total += count

    def rotate(*, pack):
        for number in range(5, 0, -1):
            for ending in ("", ".gz"):
                old = folder / f"api.log.{number}{ending}"
                if old.exists():
                    old.rename(folder / f"api.log.{number + 1}{ending}")
        log.rename(folder / "api.log.1")
        log.touch()
        first = folder / ("api.log.1" if pack == "at once" else "api.log.2")
        if first.exists():
            data, stamps = first.read_bytes(), first.stat()
            packed = first.with_name(f"{first.name}.gz")
            packed.write_bytes(gzip.compress(data))
            os.utime(packed, (stamps.st_atime, stamps.st_mtime))
            first.unlink()

    for pack in ("later", "later", "at once", "later"):
        more(5)
        assert plain.count("errors") == total
        more(3)  # written after the run, rotated before the next one
        rotate(pack=pack)
        assert plain.count("errors") == total
    more(1)
    assert plain.count("errors") == total
    assert plain.count("errors") == total


BANNER = "# The engine of T-Developer. All rights reserved.\n" * 20


@pytest.mark.parametrize("pack", ["later", "at once"])
def test_a_service_that_begins_each_log_with_the_same_words_loses_no_line(plain, pack):
    """Each log is longer than the one before, so that no length tells them apart."""
    folder, log = plain.folder, plain.folder / "engine.log"
    total, size = 0, 0
    for number in range(1, 5):
        log.write_text(BANNER)
        for count in (20 * number, 7):
            plain.now += timedelta(minutes=10)
            plain.write("engine.log", errors(count, plain.now - timedelta(minutes=1)), more=True)
            total += count
            if count != 7:
                assert plain.count("errors") == total
                assert log.stat().st_size > size
                size = log.stat().st_size
        for generation in range(number, 0, -1):
            for ending in ("", ".gz"):
                old = folder / f"engine.log.{generation}{ending}"
                if old.exists():
                    old.rename(folder / f"engine.log.{generation + 1}{ending}")
        log.rename(folder / "engine.log.1")
        log.touch()
        first = folder / ("engine.log.1" if pack == "at once" else "engine.log.2")
        if first.exists():
            stamps = first.stat()
            packed = plain.write(f"{first.name}.gz", first.read_bytes())
            os.utime(packed, (stamps.st_atime, stamps.st_mtime))
            first.unlink()
    assert plain.count("errors") == total
    assert plain.count("errors") == total


def test_a_gz_that_is_shorter_than_what_was_read_of_its_twin_is_another_one(plain):
    log = plain.write("engine.log", BANNER + errors(50, plain.ago(hours=3)))
    assert plain.count("errors") == 50
    log.unlink()
    plain.now += timedelta(minutes=10)
    plain.write("other.log.1.gz", BANNER + errors(20, plain.ago(hours=2)))
    assert plain.count("errors") == 70


def test_what_is_packed_while_it_is_read_is_counted_once_however_old_what_was_read_is(plain):
    log = plain.write("engine.log", errors(100, plain.ago(hours=26)))
    plain.now -= timedelta(hours=24)
    plain.touch(log)
    plain.touch(plain.folder / "api.log")
    assert plain.count("errors") == 100
    plain.now += timedelta(hours=24)
    # Its newest known line is older than the window by now.
    plain.write("engine.log", errors(2, plain.ago(minutes=3)), more=True)

    class Packing(LocalHost):
        done = False

        def stream(self, argv, **options):
            if log.exists() and f"if={log}" in argv:
                packed = plain.write("engine.log.1.gz", log.read_bytes())
                log.unlink()
                plain.touch(packed)
            return super().stream(argv, **options)

    plain.host = Packing("here")
    results = plain.analyse()
    assert plain.count("errors", results) == 2
    assert results["reading"].verdict is Verdict.OK, results["reading"]
    assert results["reading"].measurements[1].value < 0.001, "the hundred were not read again"


def test_a_line_that_begins_like_a_packed_file_is_a_line(plain):
    plain.write("engine.log", errors(3, plain.ago(hours=1)))
    assert plain.count("errors") == 3
    plain.now += timedelta(minutes=10)
    plain.write("engine.log", "BZh is how this line begins\n" + errors(4, plain.ago(minutes=5)), more=True)
    results = plain.analyse()
    assert plain.count("errors", results) == 7
    assert results["reading"].verdict is Verdict.OK


def test_a_truncated_log_is_read_anew_and_told(plain):
    plain.write("api.log", errors(4, plain.ago(hours=2)), more=True)
    plain.analyse()
    plain.now += timedelta(minutes=10)
    plain.write("api.log", errors(2, plain.now - timedelta(minutes=2), "after"))
    results = plain.analyse()
    assert plain.count("errors", results) == 6
    assert any("api.log was truncated" in text or "api.log was replaced" in text for text in results["reading"].details)


@pytest.mark.parametrize("rotation", ["renamed", "truncated", "gone"])
def test_a_log_that_changes_while_it_is_read(plain, rotation):
    """The moment is between the listing and the opening, which no lock guards."""
    log = plain.write("api.log", errors(50, plain.ago(hours=1)), more=True)

    class Changing(LocalHost):
        changed = False

        def stream(self, argv, **options):
            if argv[0] == "dd" and not Changing.changed and "count=65536" not in argv:
                Changing.changed = True
                if rotation == "renamed":
                    log.rename(log.with_name("api.log.1"))
                    plain.write("api.log", errors(7, plain.ago(minutes=5)))
                elif rotation == "truncated":
                    os.truncate(log, 300)
                else:
                    log.unlink()
            return super().stream(argv, **options)

    plain.host = Changing("here")
    results = plain.analyse()
    assert Changing.changed
    if rotation == "renamed":
        assert plain.count("errors", results) == 57
        assert results["reading"].verdict is Verdict.OK
        assert any("was rotated while it was read" in text for text in results["reading"].details)
    else:
        assert results["reading"].verdict is Verdict.UNKNOWN
        assert results["errors"].verdict is Verdict.UNKNOWN
        assert results["errors"].because_of == "logs.reading"
    plain.host = LocalHost("here")
    plain.write("api.log", line(plain.now), more=True)
    assert plain.analyse()["reading"].verdict is Verdict.OK


@pytest.mark.parametrize("damage", ["cut", "broken", "binary", "unpackable", "unreadable name", "link"])
def test_what_cannot_be_read_is_unknown_with_its_name_and_the_rest_counts(plain, damage):
    plain.write("api.log", errors(3, plain.ago(hours=1)), more=True)
    text = errors(2000, plain.ago(hours=2)).encode()
    name = "engine.log.2.gz"
    if damage == "cut":
        plain.write("engine.log.2", b"")
        (plain.folder / "engine.log.2").rename(plain.folder / "x")
        (plain.folder / "x").unlink()
        (plain.folder / name).write_bytes(gzip.compress(text)[:-2000])
    elif damage == "broken":
        packed = gzip.compress(text)
        (plain.folder / name).write_bytes(packed[:3000] + b"\xff" * 20 + packed[3020:])
    elif damage == "binary":
        name = "engine.log"
        (plain.folder / name).write_bytes(os.urandom(200_000) + b"\n")
    elif damage == "unpackable":
        name = "engine.log.xz"
        (plain.folder / name).write_bytes(b"\xfd7zXZ\x00" + b"x" * 500)
    elif damage == "unreadable name":
        name = "engine.log\N{REPLACEMENT CHARACTER}x"
        (plain.folder / "engine.log\nx").write_text("ERROR\n")
    else:
        (plain.folder / "engine.log").symlink_to("/etc/hostname")
    for file in plain.folder.iterdir():
        if not file.is_symlink():
            plain.touch(file)
    results = plain.analyse()
    if damage == "link":
        assert results["reading"].coverage.seen == (f"here:{plain.folder}: api.log",)
        return
    reading = results["reading"]
    assert reading.verdict is Verdict.UNKNOWN
    [skipped] = reading.coverage.skipped
    assert name.replace("\N{REPLACEMENT CHARACTER}", " ") in skipped.replace("\N{REPLACEMENT CHARACTER}", " ")
    assert plain.count("errors", results) >= 3
    if damage in ("cut", "broken"):
        assert "gzip" in reading.summary
        again = plain.analyse()
        assert again["reading"].verdict is Verdict.UNKNOWN, "it is still not whole"
        assert plain.count("errors", again) == plain.count("errors", results), "and counts once"


@pytest.mark.parametrize(
    ("count", "verdict"), [(99, Verdict.UNKNOWN), (900, Verdict.WARNING), (1500, Verdict.CRITICAL)]
)
def test_what_was_not_read_hides_no_count_that_is_too_high_already(plain, count, verdict):
    plain.write("api.log", errors(count, plain.ago(hours=1)), more=True)
    plain.write("odd.log.bz2", b"BZh91AY&SY" + b"x" * 500)
    results = plain.analyse()
    assert results["reading"].verdict is Verdict.UNKNOWN
    assert results["errors"].verdict is verdict
    assert results["errors"].because_of == ("logs.reading" if verdict is Verdict.UNKNOWN else "")
    if verdict is not Verdict.UNKNOWN:
        assert "At least: " in results["errors"].summary
        assert any("odd.log.bz2 (it is packed by bzip2" in text for text in results["errors"].details)


def test_a_gz_beside_its_plain_file_is_a_copy_or_not_whole_yet(plain):
    text = errors(900, plain.ago(hours=2))
    plain.write("engine.log.1", text)
    packed = plain.write("engine.log.1.gz", text)
    assert plain.count("errors") == 900, "a copy"
    whole = packed.read_bytes()
    packed.write_bytes(whole[:-50])
    plain.touch(packed)
    plain.now += timedelta(seconds=1)
    results = plain.analyse()
    assert plain.count("errors", results) == 900
    assert results["reading"].verdict is Verdict.OK, "gzip is at it"
    (plain.folder / "engine.log.1").unlink()
    packed.write_bytes(whole)
    plain.touch(packed)
    plain.now += timedelta(seconds=1)
    assert plain.count("errors") == 900


def test_a_gz_that_only_has_the_name_of_a_copy_counts(plain):
    plain.write("engine.log", errors(3, plain.ago(hours=2)))
    plain.write("engine.log.gz", errors(40, plain.ago(hours=3), "another"))
    assert plain.count("errors") == 43


def test_a_link_that_takes_a_logs_place_is_not_followed(plain):
    log = plain.folder / "api.log"
    secret = plain.folder.parent / "secret"
    secret.write_text(errors(5, plain.ago(hours=1)))

    class Swapping(LocalHost):
        def stream(self, argv, **options):
            if log.exists() and not log.is_symlink():
                log.unlink()
                log.symlink_to(secret)
            return super().stream(argv, **options)

    plain.host = Swapping("here")
    results = plain.analyse()
    assert plain.count("errors", results) == 0
    assert results["reading"].verdict is Verdict.UNKNOWN


def test_a_folder_that_cannot_be_read_and_a_host_that_is_away_are_unknown(plain):
    class Away(LocalHost):
        def run(self, argv, **options):
            raise TargetUnreachableError("The host here does not answer; see it.")

    plain.analyse()
    plain.host = Away("here")
    results = plain.analyse()
    assert {result.verdict for result in results.values()} == {Verdict.UNKNOWN}
    assert "does not answer" in results["reading"].summary


def test_no_line_of_the_day_is_unknown(world):
    world.write("api.log", line(world.ago(hours=50)))
    assert world.analyse()["reading"].verdict is Verdict.UNKNOWN
    world.write("api.log", "", when=world.ago(days=3))
    assert "no log there was written to" in world.analyse()["reading"].summary


def test_a_host_that_logs_no_more_is_unknown(plain):
    assert plain.analyse()["reading"].verdict is Verdict.OK
    plain.now += timedelta(hours=1)
    reading = plain.analyse()["reading"]
    assert reading.verdict is Verdict.UNKNOWN
    assert "nothing is being logged there" in reading.summary


def test_a_clock_that_went_back_and_lines_of_the_future_are_told(plain):
    plain.write("api.log", line(plain.ago(hours=5), "ERROR") + line(plain.now + timedelta(hours=9), "ERROR"), more=True)
    reading = plain.analyse()["reading"]
    assert reading.verdict is Verdict.WARNING
    assert "The clock went back in" in reading.summary
    assert "1 line of the future" in reading.summary


def test_sabotage_an_engine_that_finds_nothing_is_found_out(plain, monkeypatch):
    plain.write("api.log", errors(500, plain.ago(hours=1)), more=True)
    real = Matching.pairs
    monkeypatch.setattr(Matching, "pairs", lambda self, block, lines: real(self, block, lines)[:0])
    results = plain.analyse()
    assert {result.verdict for name, result in results.items() if name != "new_shapes"} == {Verdict.UNKNOWN}
    assert results["reading"].coverage.canary_found is False
    assert "Planted lines were not counted for constraint_violations, errors" in results["reading"].summary


def test_sabotage_one_pattern_that_is_dropped_is_found_out(plain, monkeypatch):
    real = Matching.pairs

    def without_errors(self, block, lines):
        pairs = real(self, block, lines)
        return pairs[pairs & 255 != 0]

    monkeypatch.setattr(Matching, "pairs", without_errors)
    results = plain.analyse()
    assert results["errors"].verdict is Verdict.UNKNOWN
    assert results["errors"].coverage.canary_found is False
    assert results["warnings"].verdict is Verdict.OK
    assert results["reading"].verdict is Verdict.UNKNOWN


def test_a_run_without_time_reads_on_the_next_time(plain, monkeypatch):
    plain.write("api.log", errors(500, plain.ago(hours=1)), more=True)
    plain.rules = {"minutes": 1e-9}
    first = plain.analyse()
    assert first["reading"].verdict is Verdict.UNKNOWN
    assert "the time for reading" in first["reading"].summary
    plain.rules = {}
    assert plain.count("errors") == 500


def test_a_run_that_dies_before_it_kept_anything_has_counted_nothing(plain, monkeypatch):
    plain.write("api.log", errors(5, plain.ago(hours=1)), more=True)

    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(plain.ledger, "keep_sample", die)
        with pytest.raises(KeyboardInterrupt):
            plain.analyse()
    assert plain.count("errors") == 5


def test_without_the_ledger_the_whole_day_is_read_and_nothing_called_green(plain):
    plain.write("api.log", errors(150, plain.ago(hours=1)), more=True)
    plain.analyse()
    plain.ledger.down = True
    results = plain.analyse()
    assert plain.count("errors", results) == 150
    assert results["errors"].verdict is Verdict.WARNING
    assert results["reading"].verdict is Verdict.UNKNOWN
    assert "the next run has to read it all again" in results["reading"].summary
    assert results["new_shapes"].verdict is Verdict.UNKNOWN


def test_another_pattern_makes_the_day_be_read_anew(plain):
    plain.write("api.log", errors(5, plain.ago(hours=1), "teapot"), more=True)
    plain.analyse()
    shipped = plain.settings.logs.patterns
    plain.patterns = (
        *shipped,
        shipped[0].model_copy(update={"name": "teapots", "regex": "teapot", "example": "a teapot"}),
    )
    results = plain.analyse()
    assert (plain.count("teapots", results), plain.count("errors", results)) == (5, 5)


def days_of(plain, counts):
    """Run once a day, with so many errors spread over each day."""
    results = {}
    for count in counts:
        plain.now += timedelta(days=1)
        texts = [line(plain.now - timedelta(minutes=10 * number + 7)) for number in range(140)]
        texts += [
            line(plain.now - timedelta(minutes=7 + number * 1300 // max(count, 1)), "ERROR") for number in range(count)
        ]
        plain.write("api.log", "".join(sorted(texts)), more=True)
        results = plain.analyse()
    return results


def test_what_is_unusual_is_told_although_it_is_below_the_limit(plain):
    results = days_of(plain, [10, 12, 9, 11, 10])
    assert results["errors"].verdict is Verdict.OK
    assert "Usual are" in results["errors"].summary
    results = days_of(plain, [60])
    assert results["errors"].verdict is Verdict.WARNING
    assert "are unusual" in results["errors"].summary
    by_day = results["errors"].series[1]
    assert len(by_day.points) >= 5
    assert by_day.points[-1].value > 50


def test_a_pattern_of_today_has_no_days_and_another_regex_none_of_the_former_ones(plain):
    days_of(plain, [10, 12, 9, 11, 10])
    errors, *others = plain.settings.logs.patterns
    stamps = errors.model_copy(update={"name": "stamps", "regex": "api", "example": "api", "lines": None})
    plain.patterns = (errors.model_copy(update={"regex": "INFO|ERROR", "lines": None}), *others, stamps)
    results = days_of(plain, [10])
    for name in ("errors", "stamps"):
        assert plain.count(name, results) >= 140
        assert results[name].verdict is Verdict.OK, results[name].summary
        assert "not enough days to compare with yet (0 days" in results[name].summary
    assert "Usual are" in results["warnings"].summary, "it was there all the time"
    assert "(1 day of" in days_of(plain, [10])["stamps"].summary


def test_with_few_days_it_says_that_there_is_nothing_to_compare_with(plain):
    assert "not enough days" in days_of(plain, [5])["errors"].summary


def test_what_is_usual_is_robust_and_knows_chance():
    usual = Usual.of([10, 12, 9, 11, 10, 900])
    assert usual.lines == 10.5
    assert usual.deviations(12) < 1
    assert usual.deviations(100) > 20
    assert Usual.of([100, 100, 100]).deviations(120) == pytest.approx(2.0)
    assert Usual.of([0, 0, 0]).deviations(5) == 5
    assert Usual.of([10, 10]).deviations(1) == 0


def test_a_day_that_was_not_read_in_each_of_its_hours_is_no_day():
    read = frozenset(range(24 * 10)) - {24 * 8 + 5}
    assert days_before({}, read, end=24 * 10 - 1, hours=24, days=4) == [0, 0, 0]
    assert days_before({24 * 9: 7}, read, end=24 * 10 - 1, hours=24, days=1) == []
    assert days_before({24 * 9: 7}, read, end=24 * 11 - 1, hours=24, days=1) == [7]


def test_new_shapes_are_told_once(plain):
    plain.write("api.log", errors(3, plain.ago(hours=1), "store is full"), more=True)
    first = plain.analyse()["new_shapes"]
    assert first.verdict is Verdict.OK
    assert "learnt" in first.summary
    plain.now += timedelta(minutes=30)
    plain.write("api.log", errors(3, plain.ago(minutes=2), "store is full"), more=True)
    assert plain.analyse()["new_shapes"].verdict is Verdict.OK
    plain.now += timedelta(minutes=30)
    plain.write("api.log", line(plain.ago(minutes=2), "CRITICAL", "engine", "the moon is in the way"), more=True)
    third = plain.analyse()["new_shapes"]
    assert third.verdict is Verdict.WARNING
    assert "the moon is in the way" in third.details[0]
    plain.now += timedelta(hours=20)
    assert plain.analyse()["new_shapes"].verdict is Verdict.OK


def test_two_hosts_are_read_side_by_side_and_added_up(plain, tmp_path):
    plain.write("api.log", errors(3, plain.ago(hours=1)), more=True)
    settings = plain.settings
    hosts = (*settings.hosts, HostSettings(name="there", reach="local"))
    from tdev_operators.core.logs.ports import LogPorts
    from tdev_operators.core.logs.run import analyse_logs

    ports = LogPorts({"here": plain.host, "there": LocalHost("there")}, None, None, clock=lambda: plain.now)
    results = analyse_logs(ports, settings.model_copy(update={"hosts": hosts}), plain.ledger, progress=lambda _: None)
    assert {result.check: result for result in results}["logs.errors"].measurements[0].value == 6


def test_only_what_is_wanted_is_reported(plain):
    from tdev_operators.core.logs.ports import LogPorts
    from tdev_operators.core.logs.run import analyse_logs

    ports = LogPorts({"here": plain.host}, None, None, clock=lambda: plain.now)
    wanted = frozenset({"logs.errors"})
    [result] = analyse_logs(ports, plain.settings, plain.ledger, wanted=wanted, progress=lambda _: None)
    assert result.check == "logs.errors"
    assert result.verdict is Verdict.OK
    plain.write("odd.log.bz2", b"BZh91AY&SY" + b"x" * 500)
    [result] = analyse_logs(ports, plain.settings, plain.ledger, wanted=wanted, progress=lambda _: None)
    assert (result.verdict, result.because_of) == (Verdict.UNKNOWN, ""), "or nobody would be alerted"


def test_what_is_kept_is_plain_json_and_small(plain):
    import json

    plain.write("api.log", errors(900, plain.ago(hours=1)), more=True)
    plain.analyse()
    [sample] = plain.ledger.kept["logs"].values()
    assert len(json.dumps(sample.facts)) < 50_000


def test_the_results_survive_the_ledger(plain):
    from tdev_operators.core.verdicts import CheckResult

    for result in plain.analyse().values():
        assert CheckResult.from_json(result.to_json()).to_json() == result.to_json()
