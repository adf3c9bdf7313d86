"""`[logs]` of the settings: where they are, what is counted in them and when it is too much, how they are rotated."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from tdev_operators.core.setting_types import (
    BucketName,
    Ceiling,
    Days,
    FilePath,
    Positive,
    Seconds,
    Section,
    Text,
    ZeroOrMore,
    refuse_twins,
)

# Names of results that are none of a pattern's.
OWN_RESULTS = ("installed", "new_shapes", "reading", "rotation")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_WORD = re.compile(r"[A-Za-z0-9._-]+")
_MOST_PATTERNS = 100  # the number of one shares an integer with an offset


class LogPattern(Section):
    """`[[logs.patterns]]`: what is looked for in each line.

    `example` is a line that has it: it is planted wherever we read, and must be counted. `lines` are absolute limits
    for `hours`; without them only what is unusual is judged (and with `unusual = false` nothing is).
    """

    name: Text
    regex: Text
    example: Text
    lines: Ceiling | None = None
    unusual: bool = True

    @model_validator(mode="after")
    def _can_be_used(self) -> Self:
        if not _NAME.fullmatch(self.name) or self.name in OWN_RESULTS:
            raise ValueError(
                f"the name {self.name!r} cannot be used; write small letters, digits and _, and none of "
                f"{', '.join(OWN_RESULTS)}"
            )
        # It has a C library of its own, which only those need who read these settings.
        from tdev_operators.core.logs.patterns import Patterns, refusal_of  # noqa: PLC0415

        if refusal := refusal_of(self.regex):
            raise ValueError(f"the pattern {self.name} ({self.regex}) cannot be used: {refusal}")
        if "\n" in self.example:
            raise ValueError(f"the example of the pattern {self.name} has two lines; write one")
        found: list[int] = []
        Patterns.of({self.name: self.regex}).line.scan(
            self.example.encode(), match_event_handler=lambda number, *_: found.append(number)
        )
        if not found:
            raise ValueError(
                f"the pattern {self.name} does not match its own example {self.example!r}; mend one of the two"
            )
        return self


class LogSource(Section):
    """`[[logs.sources]]`: logs that lie elsewhere than in `directory` on the hosts."""

    kind: Literal["s3", "cloudwatch"]
    bucket: BucketName | Literal[""] = ""
    prefix: str = ""
    group: str = ""

    @property
    def title(self) -> str:
        """How it is called in reports."""
        return f"s3://{self.bucket}/{self.prefix}" if self.kind == "s3" else f"cloudwatch:{self.group}"

    @model_validator(mode="after")
    def _says_where(self) -> Self:
        needed = {"s3": "bucket", "cloudwatch": "group"}[self.kind]
        if not getattr(self, needed):
            raise ValueError(f'kind = "{self.kind}" needs {needed}; add it')
        return self


class LogAnalysis(Section):
    """`[logs.analysis]`."""

    hours: Annotated[int, Field(ge=1, le=168)]
    minutes: Positive
    shapes_seconds: ZeroOrMore
    shapes_kept: Annotated[int, Field(ge=10, le=20_000)]
    baseline_days: Annotated[int, Field(ge=2, le=90)]
    baseline_minimum_days: Days
    unusual_deviations: Ceiling
    unusual_minimum_lines: ZeroOrMore
    clock_back_minutes: Positive
    shown: Annotated[int, Field(ge=1, le=50)]


class LogRotation(Section):
    """`[logs.rotation]`: the guide's configuration of logrotate, and how it is put on the hosts.

    `reload` is run by logrotate once for all files. `su` ("user group") is needed where others than root may write into
    the folder of the logs. `as_root` goes before each command that needs root's rights. `main` is the configuration of
    the host's own logrotate, `state` a state file of ours, for rotations that we force.
    """

    file: FilePath
    every: Literal["hourly", "daily", "weekly", "monthly"]
    rotate: Annotated[int, Field(ge=1, le=3650)]
    compress: bool
    delaycompress: bool
    notifempty: bool
    create_mode: str
    create_user: Text
    create_group: Text
    copytruncate: bool = False
    reload: Annotated[tuple[Text, ...], Field(min_length=1)]
    su: str = ""
    as_root: tuple[Text, ...] = ()
    program: Text
    main: FilePath
    state: FilePath
    seconds: Seconds

    @field_validator("copytruncate")
    @classmethod
    def _is_never_used(cls, wanted: bool) -> bool:  # noqa: FBT001  pydantic's signature
        if wanted:
            raise ValueError(
                "copytruncate loses what is written between the copy and the cut; remove it, and let the service open "
                "its log anew on reload"
            )
        return wanted

    @field_validator("create_mode")
    @classmethod
    def _is_a_mode(cls, mode: str) -> str:
        if not re.fullmatch(r"0?[0-7]{3}", mode):
            raise ValueError(f'{mode!r} is no mode; write it in octal figures: "0640"')
        if int(mode, 8) & 0o002:
            raise ValueError(f"{mode!r} lets everybody write into the logs; take that right away")
        return mode

    @field_validator("create_user", "create_group")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        if not _WORD.fullmatch(name):
            raise ValueError(f"{name!r} is no user or group; write its name")
        return name

    @field_validator("su")
    @classmethod
    def _is_user_and_group(cls, su: str) -> str:
        if su and not (len(su.split(" ")) == 2 and all(map(_WORD.fullmatch, su.split(" ")))):  # noqa: PLR2004
            raise ValueError(f'{su!r} is no user and group; write "t-developer t-developer", or nothing')
        return su

    @field_validator("reload")
    @classmethod
    def _is_one_line(cls, argv: tuple[str, ...]) -> tuple[str, ...]:
        if not all(word.isprintable() for word in argv):
            raise ValueError("it holds a control character, which would end the line; remove it")
        return argv

    @field_validator("file")
    @classmethod
    def _is_read_by_logrotate(cls, file: str) -> str:
        if not _WORD.fullmatch(file.rpartition("/")[2]) or file.endswith((".bak", ".disabled", ".cfsaved", ".new")):
            raise ValueError(f"{file!r} has a name that logrotate ignores; name it after the system")
        return file

    @property
    def mode(self) -> int:
        """The mode as a number."""
        return int(self.create_mode, 8)


class LogSettings(Section):
    """`[logs]`: where the maintained system writes its logs, on each of its hosts, and what is done with them."""

    directory: FilePath
    analysis: LogAnalysis
    rotation: LogRotation
    patterns: Annotated[tuple[LogPattern, ...], Field(min_length=1, max_length=_MOST_PATTERNS - 1)]
    sources: tuple[LogSource, ...] = ()

    @field_validator("patterns")
    @classmethod
    def _have_names_of_their_own(cls, patterns: tuple[LogPattern, ...]) -> tuple[LogPattern, ...]:
        refuse_twins((pattern.name for pattern in patterns), "name")
        return patterns

    @field_validator("sources")
    @classmethod
    def _are_different_places(cls, sources: tuple[LogSource, ...]) -> tuple[LogSource, ...]:
        refuse_twins((source.title for source in sources), "place")
        return sources
