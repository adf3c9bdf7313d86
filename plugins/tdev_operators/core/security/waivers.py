"""Waivers: findings that somebody answers for until a day. One reviewed file; nothing in it lasts for ever.

```toml
[[waivers]]
rule = "CVE-2019-10906"       # or an alias of it
package = "pkg:pypi/jinja2"   # at least one more of package, target, path; `*` fits anything
owner = "Security"
reason = "templates are ours alone"
expires = 2026-12-31
```
"""

import tomllib
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import Field, ValidationError, model_validator

from tdev_operators.core.errors import SettingsError
from tdev_operators.core.security.findings import Finding, canonical
from tdev_operators.core.setting_types import Section, Text

_LONGEST_DAYS = 366


class Waiver(Section):
    """One entry of the file."""

    rule: Text
    package: str = ""
    target: str = ""
    path: str = ""
    owner: Text
    reason: Text
    expires: date

    @model_validator(mode="after")
    def _says_where(self) -> "Waiver":
        if not (self.package or self.target or self.path):
            raise ValueError("it fits every place; name a package, a target or a path")
        return self

    @property
    def until(self) -> datetime:
        """The end of its last day, UTC."""
        return datetime.combine(self.expires, time(), UTC) + timedelta(days=1)

    @property
    def told(self) -> str:
        """It, for people."""
        where = self.package or self.path or self.target
        return f"{self.rule} in {where}: {self.reason} ({self.owner}, until {self.expires})"

    def fits(self, finding: Finding) -> bool:
        """Whether it is about this finding. `*` in package, target and path stands for anything."""
        names = {finding.rule, canonical(finding.rule, finding.aliases), *finding.aliases}
        places = [(self.package, finding.package), (self.target, finding.target)]
        places += [(self.path, path) for path in (finding.path, *finding.others)]  # all of them, or it hides some
        return self.rule in names and all(fnmatchcase(place, wanted) for wanted, place in places if wanted)


class _File(Section):
    waivers: tuple[Waiver, ...] = Field(default=())


def read_waivers(path: Path, now: datetime) -> tuple[Waiver, ...]:
    """Read the file of waivers; of one that is not there, none.

    Raises:
        SettingsError: one sentence a mistake: no TOML, an unknown key, no owner, no end, an end in more than a year.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: this is not valid TOML: {error}; mend that place.") from None
    try:
        wrong = next((key for key, each in data.items() if not isinstance(each, list)), "")
        if wrong:
            raise SettingsError(f"{path}: {wrong}: this is no list of entries; write each under [[waivers]].")
        found = _File.model_validate({key: tuple(each) for key, each in data.items()}).waivers
    except ValidationError as error:
        complaints = [
            f"{path}: {'.'.join(str(part) for part in one['loc'])}: {one['msg'].removeprefix('Value error, ')}."
            for one in error.errors(include_url=False)
        ]
        raise SettingsError("\n".join(complaints)) from None
    endless = [one for one in found if one.expires > now.date() + timedelta(days=_LONGEST_DAYS)]
    if endless:
        raise SettingsError(
            f"{path}: the waiver of {endless[0].rule} lasts until {endless[0].expires}; give it a year at most."
        )
    return found


def waiver_of(finding: Finding, waivers: Sequence[Waiver]) -> Waiver | None:
    """Return the waiver that lasts longest of those that fit; one that has ended is returned, too, when no other is."""
    return max((one for one in waivers if one.fits(finding)), key=lambda one: one.until, default=None)
