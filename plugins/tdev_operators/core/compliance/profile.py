"""The profile: which controls there are, by what rule each is held, and what they are called elsewhere.

It is a file of its own, so that whoever answers for compliance can review it; `[compliance] profile` names it.
"""

import json
import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, field_validator

from tdev_operators.core.errors import SettingsError
from tdev_operators.core.setting_types import Days, Section, Text, refuse_twins
from tdev_operators.core.verdicts import Verdict


class Control(Section):
    """`[[controls]]`: what must hold, and how that is looked at.

    `rule` is a file of `rules/`; `checks` are names of results (`backup.proven`, `certificate.*`), `days` how old the
    proof may be, `at_worst` the verdict that still passes. `maps` gives the control's names in other frameworks.
    """

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    title: Text
    rule: Text
    days: Days
    checks: tuple[Text, ...] = ()
    at_worst: Annotated[str, Field(pattern="^(OK|WARNING)$")] = "WARNING"
    maps: dict[str, tuple[Text, ...]] = Field(default_factory=dict)

    @property
    def worst(self) -> Verdict:
        """The verdict that still passes."""
        return Verdict(self.at_worst)


class Profile(Section):
    """The whole file."""

    name: Text
    controls: Annotated[tuple[Control, ...], Field(min_length=1)]

    @field_validator("controls")
    @classmethod
    def _are_told_apart(cls, controls: tuple[Control, ...]) -> tuple[Control, ...]:
        refuse_twins((control.id for control in controls), "id")
        return controls


def read_profile(path: Path) -> Profile:
    """Read a profile.

    Raises:
        SettingsError: it is not there, is no TOML, or a control is wrong: one sentence that says which.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        return Profile.model_validate_json(_as_json(data))
    except FileNotFoundError:
        raise SettingsError(f"{path}: there is no such file; name one in [compliance] profile.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: this is not valid TOML: {error}; mend that place.") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part + 1 if isinstance(part, int) else part) for part in first["loc"])
        raise SettingsError(f"{path}: {place or 'the file'}: {first['msg']}; mend that.") from None


def _as_json(data: object) -> str:
    """Return TOML's values as JSON, whose arrays a strict model takes for tuples."""
    return json.dumps(data, default=str)
