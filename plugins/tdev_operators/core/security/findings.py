"""A finding of any scanner in one form, and the identity by which it is known again.

The identity survives what does not change the matter: another line, a renamed file, a new tag of the image, another
scanner that names the same vulnerability of the same package.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Self

_CVE = re.compile(r"CVE-\d{4}-\d{4,}")
_MOST_TEXT = 2_000  # characters of a text that a scanner hands over
_DIGEST, _PYPI = "sha256:", "pkg:pypi/"
_BLANKS = re.compile(r"\s+")


class Severity(StrEnum):
    """How bad a finding is, in one scale for all scanners. UNKNOWN is what a scanner does not say: nobody's LOW."""

    CRITICAL = "CRITICAL"
    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"
    UNKNOWN = "UNKNOWN"

    @property
    def rank(self) -> int:
        """0 is the worst. UNKNOWN stands behind HIGH: until somebody says otherwise it may be bad."""
        return _RANKS.index(self)


_RANKS = (Severity.CRITICAL, Severity.HIGH, Severity.UNKNOWN, Severity.MEDIUM, Severity.LOW)
_WORDS = {
    "CRITICAL": Severity.CRITICAL,
    "HIGH": Severity.HIGH,
    "ERROR": Severity.HIGH,  # SARIF's level
    "IMPORTANT": Severity.HIGH,
    "MEDIUM": Severity.MEDIUM,
    "MODERATE": Severity.MEDIUM,
    "WARNING": Severity.MEDIUM,
    "LOW": Severity.LOW,
    "NOTE": Severity.LOW,
    "NEGLIGIBLE": Severity.LOW,
    "INFO": Severity.LOW,
    "INFORMATIONAL": Severity.LOW,
    "UNIMPORTANT": Severity.LOW,
    "NONE": Severity.LOW,
}


def severity_of(word: object, cvss: float | None = None) -> Severity:
    """Return a scanner's word for it in our scale; of a word that we do not know, what its CVSS score says.

    The bands are those of CVSS v3: 9.0 critical, 7.0 high, 4.0 medium.
    """
    known = _WORDS.get(str(word or "").strip().upper())
    if known is not None:
        return known
    if cvss is None or cvss <= 0:
        return Severity.UNKNOWN
    bands = ((9.0, Severity.CRITICAL), (7.0, Severity.HIGH), (4.0, Severity.MEDIUM))
    return next((severity for least, severity in bands if cvss >= least), Severity.LOW)


class Kind(StrEnum):
    """What a finding is about: it decides what makes two of them the same."""

    VULNERABILITY = "vulnerability"  # of a package
    LICENCE = "licence"  # of a package
    CODE = "code"  # a weak line
    SECRET = "secret"  # noqa: S105  a line that gives one away
    CONFIGURATION = "configuration"  # a file, a bucket, a server, a grant that is set up weakly


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a scanner found in one target.

    `target` is the target's name in the settings, whatever its tag, digest or commit is today. `rule` is what the
    scanner calls it (a CVE where there is one). `package` is a package URL without its version. `path` and `line` are
    where it stands now, `others` are more places of the same; of the line itself (`text`) only a digest is kept, since
    it may hold a secret. `resource` tells apart what has findings of its own within a target, as an account's buckets
    do. `identity` is empty until `identified`.
    """

    kind: Kind
    rule: str
    title: str
    severity: Severity
    target: str
    scanner: str
    package: str = ""
    version: str = ""
    fixed_in: str = ""
    path: str = ""
    line: int = 0
    text: str = ""
    cvss: float | None = None
    aliases: tuple[str, ...] = ()
    url: str = ""
    resource: str = ""
    others: tuple[str, ...] = ()
    identity: str = ""

    def __post_init__(self) -> None:
        if self.text and not self.text.startswith(_DIGEST):
            line = _BLANKS.sub(" ", self.text).strip()
            digest = hashlib.sha256(line.encode("utf-8", "surrogatepass")).hexdigest()
            object.__setattr__(self, "text", _DIGEST + digest)
        for name in ("rule", "title", "text", "path", "url", "package", "version", "fixed_in"):
            value = getattr(self, name)
            if len(value) > _MOST_TEXT:
                object.__setattr__(self, name, value[:_MOST_TEXT])

    @property
    def place(self) -> str:
        """Where it is, for people: the package, or file and line."""
        if self.package:
            return f"{self.package}@{self.version}" if self.version else self.package
        return f"{self.path}:{self.line}" if self.line else self.path

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types; `from_json` is the inverse."""
        found = {name: getattr(self, name) for name in Finding.__dataclass_fields__}
        return {
            **found,
            "kind": self.kind.value,
            "severity": self.severity.value,
            "aliases": list(self.aliases),
            "others": list(self.others),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Rebuild it."""
        known: dict[str, Any] = {
            "kind": Kind(data["kind"]),
            "severity": Severity(data["severity"]),
            "aliases": tuple(data["aliases"]),
            "others": tuple(data["others"]),
        }
        return cls(**{**data, **known})


def canonical(rule: str, aliases: Iterable[str] = ()) -> str:
    """Return the name by which a vulnerability is known everywhere: its CVE, else its GHSA, else the first by name."""
    names = sorted({name.strip() for name in (rule, *aliases) if name.strip()})
    cve = next((found[0] for name in names if (found := _CVE.fullmatch(name.upper()))), "")
    return cve or next((name for name in names if name.startswith("GHSA-")), (names or [rule])[0])


def without_version(purl: str) -> str:
    """Return a package URL without version, qualifiers and subpath, its name as PyPI and npm compare it."""
    base = purl.partition("#")[0].partition("?")[0]
    at = base.rfind("@")
    named = (base[:at] if at > base.rfind("/") else base).lower()  # pkg:npm/@scope/name: an @ that begins no version
    return python_package(named.removeprefix(_PYPI)) if named.startswith(_PYPI) else named


def python_package(name: str) -> str:
    """Return the package URL of a Python package."""
    return f"{_PYPI}{re.sub(r'[-_.]+', '-', name).lower()}"


def identified(findings: Sequence[Finding]) -> list[Finding]:
    """Give each finding its identity; two scanners' words for one vulnerability of one package are one finding.

    They are known for one by any name that they share: who says only a GHSA, and who says a CVE with that GHSA.

    Two equal lines are told apart by their order: when a file is renamed, or lines move, there are as many as before.
    Give it all findings of a target at once.
    """
    in_order = sorted(
        _under_shared_names(findings), key=lambda one: (one.target, one.path, one.line, one.rule, one.scanner)
    )
    times: dict[tuple[str, str], int] = defaultdict(int)
    places: dict[tuple[str, str, str, int], str] = {}
    made: dict[str, Finding] = {}
    for one in in_order:
        essence = _essence(one)
        if one.kind not in _OF_PACKAGES:
            # A scanner that says the same of one line twice has found it once.
            where = (essence, one.scanner, one.path, one.line)
            if where not in places:
                number = times[essence, one.scanner]
                times[essence, one.scanner] += 1
                places[where] = f"{essence}\n{number}"
            essence = places[where]
        identity = _digest_of(essence)
        before = made.get(identity)
        made[identity] = replace(one, identity=identity) if before is None else _merged(before, one)
    return list(made.values())


def former_identities(one: Finding) -> tuple[str, ...]:
    """Return the identities that a vulnerability had while only one of its names was known, before it got its CVE."""
    if one.kind is not Kind.VULNERABILITY:
        return ()
    alone = (replace(one, rule=name, aliases=()) for name in sorted({one.rule, *one.aliases}))
    return tuple(made for each in alone if (made := _digest_of(_essence(each))) != one.identity)


def _under_shared_names(findings: Sequence[Finding]) -> Iterable[Finding]:
    """Give vulnerabilities of one package that share a name all names of each other."""
    leaders: dict[tuple[str, ...], tuple[str, ...]] = {}

    def leader(key: tuple[str, ...]) -> tuple[str, ...]:
        while (above := leaders.setdefault(key, key)) != key:
            key = above
        return key

    keys = [_names(one) for one in findings]
    for names in keys:
        for name in names[1:]:
            leaders[leader(name)] = leader(names[0])
    together: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for names in keys:
        for name in names:
            together[leader(name)].add(name[-1])
    for one, names in zip(findings, keys, strict=True):
        shared = together[leader(names[0])] if names else set()
        yield replace(one, aliases=tuple(sorted(shared - {one.rule}))) if shared - {one.rule, *one.aliases} else one


def _names(one: Finding) -> list[tuple[str, ...]]:
    if one.kind is not Kind.VULNERABILITY:
        return []
    names = sorted({name.strip() for name in (one.rule, *one.aliases) if name.strip()})
    return [(one.target, one.resource, one.package or one.path, name) for name in names]


_OF_PACKAGES = frozenset({Kind.VULNERABILITY, Kind.LICENCE})


def _digest_of(essence: str) -> str:
    return hashlib.sha256(essence.encode("utf-8", "surrogatepass")).hexdigest()


def _essence(one: Finding) -> str:
    if one.kind in _OF_PACKAGES:
        rule = canonical(one.rule, one.aliases) if one.kind is Kind.VULNERABILITY else one.rule
        return "\n".join((one.kind, one.target, one.resource, rule, one.package or one.path))
    return "\n".join((one.kind, one.target, one.resource, one.rule, one.text or one.path))


def _merged(one: Finding, other: Finding) -> Finding:
    """Return the worse of two words for the same; who says how bad it is, and what it is fixed in, is believed."""
    worse, better = sorted((one, other), key=lambda by: (by.severity is Severity.UNKNOWN, by.severity.rank))
    scores = [finding.cvss for finding in (one, other) if finding.cvss is not None]
    scanners = dict.fromkeys((*one.scanner.split(", "), *other.scanner.split(", ")))
    return replace(
        worse,
        identity=one.identity,
        scanner=", ".join(sorted(scanners)),
        fixed_in=worse.fixed_in or better.fixed_in,
        cvss=max(scores, default=None),
        aliases=tuple(sorted({*one.aliases, *other.aliases, one.rule, other.rule} - {worse.rule})),
        others=tuple(sorted({one.path, other.path, *one.others, *other.others} - {worse.path})),
    )


@dataclass(slots=True)
class Found:
    """What one scanner made of one target: its findings, and what it looked at or could not look at.

    `seen` and `skipped` name files, packages or the target itself; `remarks` are lines for people.
    """

    findings: list[Finding] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
