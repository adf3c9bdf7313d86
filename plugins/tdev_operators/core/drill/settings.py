"""`[drill]`: what a rehearsed recovery is held against, and how the application is started on what was restored."""

from typing import Annotated

from pydantic import Field

from tdev_operators.core.setting_types import Positive, Seconds, Section, Text, UrlPath


class ApplicationSettings(Section):
    """`[drill.application]`: the stand-in that serves the restored database.

    In `environment` stand `{port}` (where it must listen), `{token}` (which it must ask for), `{folder}` (where it may
    write) and libpq's variables as `{PGHOST}`; those are set for it as well.
    """

    argv: tuple[Text, ...]  # empty: none is started, and the drill is UNKNOWN for that
    environment: dict[Text, str]
    ready_path: UrlPath
    seconds: Seconds  # to come up


class HeartbeatSettings(Section):
    """`[drill.heartbeat]`: where the application itself writes all the time, so that its newest row says how far."""

    table: Text
    column: Text
    silence_minutes: Positive  # between two rows, when all is well


class DrillSettings(Section):
    """`[drill]`."""

    rto_minutes: Positive  # from "it is gone" to an application that reads and writes
    rpo_hours: Positive  # what may be lost
    due_day: Annotated[int, Field(ge=1, le=28)]  # of a month: without a proven drill from then on it is CRITICAL
    application: ApplicationSettings
    heartbeat: HeartbeatSettings
