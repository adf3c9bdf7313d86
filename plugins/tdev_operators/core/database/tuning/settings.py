"""`[tuning]`: what is recommended for the database and the application, and how a recommendation is applied."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tdev_operators.core.setting_types import Count, Percent, Seconds, Section, Text, UrlPath, refuse_twins

_NAME = re.compile(r"[a-z_][a-z0-9_$]*(\.[a-z_][a-z0-9_$]*)?", re.IGNORECASE)
_PLACES = {
    "service_restart": ("{service}",),
    "trial": ("{name}",),
    "save_file": ("{copy}",),
    "restore_file": ("{copy}",),
    "remove_file": ("{copy}",),
}

Value = bool | int | float | str


class TuningSettings(Section):
    """`[tuning]`. `database` holds any of PostgreSQL's settings, `application` any key of the API's configuration."""

    managed: Literal["", "rds", "patroni"]  # who owns the server's files, when it is not their administrator
    shared_memory_percent: Annotated[Percent, Field(gt=0)]  # of the host's memory: no larger recommendation is applied
    application_instances: Annotated[int, Field(ge=1, le=100_000)]  # each has connection_pool_size connections
    other_connections: Count  # of the database, for everybody else: maintenance, monitoring, back-ups, people
    standby_connections: tuple[Text, ...] = ()  # Airflow connections: what a standby must have first is looked at there
    prove_seconds: Seconds  # for a reloaded value to be seen in a new session
    restart_seconds: Seconds  # for a restarted server to let us in; then the former file is put back
    database_service: str  # on recovery.database_host; empty: what needs a restart is printed and not applied
    data_directory: str
    service_restart: Annotated[tuple[Text, ...], Field(min_length=1)]
    trial: Annotated[tuple[Text, ...], Field(min_length=1)]  # reads all files without starting a server
    save_file: Annotated[tuple[Text, ...], Field(min_length=1)]
    restore_file: Annotated[tuple[Text, ...], Field(min_length=1)]
    remove_file: Annotated[tuple[Text, ...], Field(min_length=1)]
    config_path: UrlPath  # of the API: GET tells its configuration as a JSON object, PATCH changes keys of it
    effect_hours: Annotated[float, Field(gt=0, le=24 * 31)]  # of work after a change, before its effect is judged
    log_file: str  # below logs.directory; empty: no latency is read from a log
    log_duration: Text  # a POSIX extended expression with one group: the milliseconds of a request's line
    database: dict[Text, Value]
    application: dict[Text, Value]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for key, places in _PLACES.items():
            for place in places:
                if not any(place in word for word in getattr(self, key)):
                    raise ValueError(f'{key} lacks its place; write "{place}" where it belongs')
        for name in self.database:
            if not _NAME.fullmatch(name):
                raise ValueError(f"database.{name} is no name of a setting; write it as pg_settings has it")
        refuse_twins((name.lower() for name in self.database), "name")
        if bool(self.database_service) is not bool(self.data_directory):
            raise ValueError("database_service and data_directory belong together; write both, or neither")
        try:
            groups = re.compile(self.log_duration).groups
        except re.error as error:
            raise ValueError(f"log_duration is no expression ({error}); mend it") from None
        if groups != 1:
            raise ValueError("log_duration needs exactly one group, around the milliseconds")
        return self
