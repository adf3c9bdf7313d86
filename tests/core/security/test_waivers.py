"""Somebody answers for a finding, in one place, until a day."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from tdev_operators.core.errors import SettingsError
from tdev_operators.core.security.findings import Finding, Kind, Severity
from tdev_operators.core.security.waivers import read_waivers, waiver_of

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
HOLE = Finding(
    Kind.VULNERABILITY,
    rule="PYSEC-2019-217",
    title="escape",
    severity=Severity.HIGH,
    target="shop",
    scanner="pip_audit",
    package="pkg:pypi/jinja2",
    path="requirements.txt",
    aliases=("CVE-2019-10906",),
)
ENTRY = """
[[waivers]]
rule = "CVE-2019-10906"
package = "pkg:pypi/jinja2"
owner = "Security"
reason = "templates are ours alone"
expires = 2026-12-31
"""


@pytest.fixture
def read(tmp_path):
    def read(text, now=NOW):
        (tmp_path / "waivers.toml").write_text(text)
        return read_waivers(tmp_path / "waivers.toml", now)

    return read


def test_a_waiver_fits_by_any_name_of_the_vulnerability(read):
    [waiver] = read(ENTRY)
    assert waiver_of(HOLE, [waiver]) is waiver
    assert waiver.until == datetime(2027, 1, 1, tzinfo=UTC), "its last day counts"
    assert waiver.told == "CVE-2019-10906 in pkg:pypi/jinja2: templates are ours alone (Security, until 2026-12-31)"


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ('"CVE-2019-10906"', '"CVE-2019-1"'),
        ('"pkg:pypi/jinja2"', '"pkg:pypi/flask"'),
        ("owner =", 'target = "bank"\nowner ='),
        ("owner =", 'path = "app/*"\nowner ='),
    ],
)
def test_it_fits_nothing_else(read, was, now):
    assert was in ENTRY
    assert waiver_of(HOLE, read(ENTRY.replace(was, now))) is None


def test_a_path_has_to_fit_every_place_of_the_finding(read):
    [docs] = read(ENTRY.replace('package = "pkg:pypi/jinja2"', 'path = "docs/*"'))
    assert docs.fits(replace(HOLE, path="docs/requirements.txt"))
    assert not docs.fits(replace(HOLE, path="docs/requirements.txt", others=("src/requirements.txt",)))


def test_the_one_that_lasts_longest_counts(read):
    both = read(ENTRY + ENTRY.replace("2026-12-31", "2027-02-01").replace('"pkg:pypi/jinja2"', '"pkg:pypi/*"'))
    assert waiver_of(HOLE, both).expires == date(2027, 2, 1)


def test_one_that_has_ended_is_still_told(read):
    assert waiver_of(HOLE, read(ENTRY.replace("2026-12-31", "2020-01-01"))).until < NOW


@pytest.mark.parametrize(
    ("was", "now", "sentence"),
    [
        ('owner = "Security"\n', "", r"waivers\.0\.owner: Field required"),
        ('reason = "templates are ours alone"\n', "", r"waivers\.0\.reason: Field required"),
        ("expires = 2026-12-31\n", "", r"waivers\.0\.expires: Field required"),
        ("2026-12-31", "2099-01-01", "give it a year at most"),
        ('package = "pkg:pypi/jinja2"\n', "", "it fits every place; name a package, a target or a path"),
        ("owner =", "until = 5\nowner =", r"waivers\.0\.until: Extra inputs are not permitted"),
        ("[[waivers]]", "[[waiver]]", "waiver: Extra inputs are not permitted"),
        ("[[waivers]]", "[waivers]", "waivers: this is no list of entries"),
        ("2026-12-31", "9999-12-31", "give it a year at most"),
        ("[[waivers]]", "[[waivers", "is not valid TOML"),
    ],
)
def test_a_waiver_without_owner_reason_or_end_is_refused(read, was, now, sentence):
    assert was in ENTRY
    with pytest.raises(SettingsError, match=sentence):
        read(ENTRY.replace(was, now))


def test_without_a_file_nothing_is_waived(tmp_path):
    assert read_waivers(tmp_path / "none.toml", NOW) == ()
