"""The real trivy, bandit and pip-audit: what they find, and everything that would make them falsely green."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from sandbox.releases import image_of
from sandbox.vulnerability_database import write_database
from tdev_operators.core.security.findings import identified
from tdev_operators.core.security.scanning import CANARY
from tdev_operators.core.verdicts import Verdict
from tests.core.security.conftest import SOURCE

DEBIAN = {
    "etc/os-release": b'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"\n',
    "etc/debian_version": b"12.5\n",
    "var/lib/dpkg/status": (
        b"Package: openssl\nStatus: install ok installed\nMaintainer: x <x@debian.org>\nArchitecture: amd64\n"
        b"Version: 3.0.11-1\nDescription: ssl\n\n"
    ),
    "usr/lib/python3/dist-packages/requests-2.19.0.dist-info/METADATA": (
        b"Metadata-Version: 2.1\nName: requests\nVersion: 2.19.0\nLicense: Apache 2.0\n"
    ),
}


def rules(scan):
    return sorted({one.rule for one in scan.findings})


def identities(scan):
    return {one.identity for one in identified(scan.findings)}


def test_trivy_finds_packages_secrets_and_weak_configuration_and_proves_that_it_looked(ward):
    scan = ward.scan("trivy_source")
    assert scan.result.verdict is Verdict.OK, scan.result
    assert rules(scan) == ["CVE-2018-18074", "DS-0021", "DS-0029", "github-pat"]
    [hole] = [one for one in scan.findings if one.rule == "CVE-2018-18074"]
    assert (hole.package, hole.version, hole.fixed_in, hole.path) == (
        "pkg:pypi/requests",
        "2.19.1",
        "2.20.0",
        "requirements.txt",
    )
    [secret] = [one for one in scan.findings if one.rule == "github-pat"]
    assert "ghp_" not in str(secret.to_json())
    assert (secret.path, secret.line) == ("conf.ini", 1)
    coverage = scan.result.coverage
    assert coverage.canary_found
    assert coverage.tool.startswith("trivy 0.")
    assert 0 < coverage.data_age_seconds < 6 * 3600, "made for this session"
    assert scan.complete
    assert "abc123" in scan.basis


def test_bandit_finds_weak_lines_and_proves_that_it_read_every_file(ward):
    scan = ward.scan("bandit")
    assert scan.result.verdict is Verdict.OK, scan.result
    assert rules(scan) == ["B404", "B602"]
    [shell] = [one for one in scan.findings if one.rule == "B602"]
    assert (shell.path, shell.line) == ("app/main.py", 5)
    assert shell.text == replace(shell, text="return  subprocess.call(x, shell=True)").text
    assert scan.result.coverage.tool.startswith("bandit 1.")


def test_an_image_is_scanned_from_its_tar(ward):
    scan = replace(ward, files={}, kind="image", image=image_of(DEBIAN, "shop:1")).scan("trivy_image")
    assert scan.result.verdict is Verdict.OK, scan.result
    holes = {one.rule: one.package for one in scan.findings if one.package}
    assert holes == {"CVE-2018-18074": "pkg:pypi/requests", "CVE-2099-0001": "pkg:deb/debian/openssl"}


def test_a_new_tag_of_the_same_image_brings_nothing_new(ward):
    one, other = (
        replace(ward, files={}, kind="image", image=image_of({**DEBIAN, "built": tag}, f"shop:{tag.decode()}"))
        for tag in (b"1", b"2")
    )
    scans = [each.scan("trivy_image") for each in (one, other)]
    assert all(scan.complete and scan.findings for scan in scans), scans
    assert identities(scans[0]) == identities(scans[1])


def test_two_versions_of_one_code_base_have_the_same_findings(ward):
    moved = {
        **{name: text for name, text in SOURCE.items() if name not in {"app/main.py", "conf.ini"}},
        "lib/renamed.py": f'"""A heading."""\n\nVALUE = 1\n\n{SOURCE["app/main.py"]}',
        "etc/other.ini": f"; a heading\n{SOURCE['conf.ini']}",
        "Dockerfile": f"# a heading\n{SOURCE['Dockerfile']}",
    }
    later = replace(ward, files=moved)
    for scanner in ("bandit", "trivy_source"):
        before, after = ward.scan(scanner), later.scan(scanner)
        assert (before.complete, after.complete) == (True, True)
        assert identities(before) == identities(after), scanner
    mended = replace(ward, files={**SOURCE, "requirements.txt": "requests==2.20.0\n"})
    assert identities(mended.scan("trivy_source")) < identities(ward.scan("trivy_source"))


def test_what_a_target_says_to_the_scanners_hides_nothing(ward):
    hiding = {
        **SOURCE,
        ".trivyignore": "CVE-2018-18074\ngithub-pat\nDS-0021\n",
        ".trivyignore.yaml": "vulnerabilities:\n  - id: CVE-2018-18074\n",
        "trivy.yaml": "scan:\n  skip-dirs: [app]\nseverity: [LOW]\n",
        "trivy-secret.yaml": "disable-rules: [github-pat]\n",
        ".bandit": "[bandit]\nexclude: /app,app\nskips: B602,B404\n",
    }
    hidden = replace(ward, files=hiding)
    for scanner in ("bandit", "trivy_source"):
        assert rules(hidden.scan(scanner)) == rules(ward.scan(scanner)), scanner


SILENT = {
    "requirements/prod.txt": ("flask>=1\n", "no exact version: flask>=1"),
    "requirements-dev.txt": ("requests==2.19.*\n", "no exact version: requests==2.19.*"),
    "package-lock.json": ("{broken", "trivy took no package from it"),
    "poetry.lock": ("[[package", "trivy took no package from it"),
    "uv.lock": ("[[package", "trivy took no package from it"),
    "requirements.txt": ("requests==2.19.1\nflask>=1\n", "no exact version: flask>=1"),
    "main.tf": ('resource "aws_s3_bucket" "x" {\n', "trivy could not look"),
    "Dockerfile": ("FROM\n", "trivy could not look"),
}


def rare(value, *, often):
    return value if often else pytest.param(value, marks=pytest.mark.faults)


@pytest.mark.parametrize(
    "name", [rare(name, often=name in {"poetry.lock", "main.tf", "requirements/prod.txt"}) for name in SILENT]
)
def test_what_trivy_passes_over_in_silence_is_not_green(ward, name):
    text, why = SILENT[name]
    scan = replace(ward, files={**SOURCE, name: text}).scan("trivy_source")
    assert scan.result.verdict is Verdict.UNKNOWN
    assert any(why in reason for reason in scan.result.coverage.skipped.values()), scan.result.coverage
    assert not scan.complete, "nothing is closed by such a look"


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ("missing", "has no vulnerability database"),
        ("empty", "the planted canary was not found"),
        ("stale", "older than security.data_days"),
        ("corrupt", "was not scanned"),
    ],
)
@pytest.mark.parametrize("scanner", ["trivy_source", rare("trivy_image", often=False)])
def test_without_good_data_trivy_is_not_green(ward, tmp_path, state, sentence, scanner):
    cache = tmp_path / "cache"
    if state != "missing":
        made = datetime.now(UTC) - timedelta(days=30 if state == "stale" else 0)
        write_database(cache, made=made, empty=state == "empty")
    if state == "corrupt":
        (cache / "db" / "trivy.db").write_bytes(b"\xff" * 16384)
    image = {"files": {}, "kind": "image", "image": image_of(DEBIAN, "shop:1")} if scanner == "trivy_image" else {}
    scan = replace(ward, cache=cache, **image).scan(scanner)
    assert scan.result.verdict is Verdict.UNKNOWN
    assert sentence in scan.result.summary + str(scan.result.coverage.skipped), scan.result
    assert not scan.complete


@pytest.mark.parametrize("scanner", ["bandit", "trivy_source"])
def test_a_missing_canary_is_not_green(ward, scanner):
    target = ward.target()
    for path in (target.root / CANARY).iterdir():
        path.write_text("")
    result = ward.scan(scanner, target).result
    assert result.verdict is Verdict.UNKNOWN
    assert result.coverage.canary_found is False
    assert any(line.startswith("not found: ") for line in result.details)


def test_a_requirements_file_of_any_name_is_read(ward):
    files = {"app/x.py": "", "requirements/prod.txt": "flask==1.0\n", "dev-requirements.txt": "jinja2==2.10\n"}
    scan = replace(ward, files=files).scan("trivy_source")
    assert scan.result.verdict is Verdict.OK, scan.result
    assert rules(scan) == ["CVE-2019-10906", "CVE-2099-0002"]


def test_a_secret_is_found_where_trivy_would_not_look(ward):
    token = SOURCE["conf.ini"]
    files = {"README.md": token, "tests/test_app.py": token, "vendor/x.js": token, "docs/example.ini": token}
    scan = replace(ward, files=files).scan("trivy_source")
    assert {one.path for one in scan.findings if one.rule == "github-pat"} == set(files)


def test_what_tells_trivy_to_ignore_it_is_counted(ward):
    hushed = "#trivy:ignore:DS-0029\n" + SOURCE["Dockerfile"]
    scan = replace(ward, files={**SOURCE, "Dockerfile": hushed}).scan("trivy_source")
    assert any("1 file tell trivy to ignore lines" in line for line in scan.result.details)


def test_a_password_that_bandit_quotes_is_kept_nowhere(ward):
    scan = replace(ward, files={"app.py": 'password = "hunter2hunter2"\n'}).scan("bandit")
    assert rules(scan) == ["B105"]
    assert "hunter2" not in str([one.to_json() for one in scan.findings]) + str(scan.result.to_json())


@pytest.mark.seeded
@pytest.mark.parametrize("missing", ["etc/os-release", "var/lib/dpkg/status"])
def test_an_image_whose_system_is_not_judged_is_not_green(ward, missing):
    files = {name: body for name, body in DEBIAN.items() if name not in {missing, "etc/debian_version"}}
    scan = replace(ward, files={}, kind="image", image=image_of(files, "shop:1")).scan("trivy_image")
    assert scan.result.verdict is Verdict.UNKNOWN
    assert "the system of the image" in scan.result.coverage.skipped


def test_an_image_cannot_hide_below_the_canarys_name(ward):
    where = "tdev-canary/usr/lib/python3/dist-packages/requests-2.19.0.dist-info/METADATA"
    files = {**DEBIAN, where: DEBIAN["usr/lib/python3/dist-packages/requests-2.19.0.dist-info/METADATA"]}
    del files["usr/lib/python3/dist-packages/requests-2.19.0.dist-info/METADATA"]
    scan = replace(ward, files={}, kind="image", image=image_of(files, "shop:1")).scan("trivy_image")
    assert "CVE-2018-18074" in rules(scan)


def test_a_file_that_bandit_cannot_read_is_named(ward):
    scan = replace(ward, files={**SOURCE, "app/bad.py": "def x(:\n"}).scan("bandit")
    assert scan.result.verdict is Verdict.UNKNOWN
    assert "syntax error" in scan.result.coverage.skipped["target/app/bad.py"]
    assert rules(scan) == ["B404", "B602"], "what it found counts"


def test_what_says_nosec_is_told(ward):
    hushed = SOURCE["app/main.py"].replace("shell=True)", "shell=True)  # nosec")
    scan = replace(ward, files={"app/main.py": hushed}).scan("bandit")
    assert rules(scan) == ["B404"]
    assert scan.result.details == ("1 line say # nosec and were not judged",)
    named = SOURCE["app/main.py"].replace("shell=True)", "shell=True)  # nosec B602")
    assert replace(ward, files={"app/main.py": named}).scan("bandit").result.details == scan.result.details


@pytest.mark.parametrize("scanner", ["bandit", "pip_audit"])
def test_an_empty_target_is_not_green(ward, scanner):
    assert replace(ward, files={"README": "nothing"}).scan(scanner).result.verdict is Verdict.UNKNOWN


def test_pip_audit_without_its_service_is_not_green(ward):
    scan = ward.scan("pip_audit")
    assert scan.result.verdict is Verdict.UNKNOWN
    assert not scan.complete


def test_a_finding_of_an_image_itself_names_no_folder_of_this_worker(ward):
    scan = replace(ward, files={}, kind="image", image=image_of(DEBIAN, "shop:1")).scan("trivy_image")
    assert "DS-0026" in rules(scan)
    assert not [one for one in scan.findings if str(ward.home) in str(one.to_json())]
