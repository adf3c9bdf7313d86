"""`[recovery]`: restoring, and who may replace what is live."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from tdev_operators.core.setting_types import Positive, Seconds, Section, Text, refuse_twins

_SERVICE = "{service}"


class Person(Section):
    """`[[recovery.people]]`: somebody who may approve, as Airflow knows them."""

    username: Text
    auth_id: Text  # of Airflow's auth manager: FAB's are numbers, SimpleAuthManager's are user names


class RecoverySettings(Section):
    """`[recovery]`."""

    connection: Text  # Airflow connection of a role that may create databases and roles
    database_host: str  # of [[hosts]]: where the server keeps its data; empty: nobody can see how much room there is
    room_percent: Annotated[float, Field(ge=100, le=1000)]  # free disk that is asked for, of what the database takes
    drain_seconds: Seconds  # who is connected may finish for so long before the names are exchanged
    service_stop: Annotated[tuple[Text, ...], Field(min_length=1)]
    service_start: Annotated[tuple[Text, ...], Field(min_length=1)]
    service_alive: Annotated[tuple[Text, ...], Field(min_length=1)]  # exit status 0: it runs
    service_seconds: Seconds
    approval_hours: Positive  # unanswered for so long is refused
    requester_may_approve: bool
    keep_replaced_days: Annotated[int, Field(ge=7, le=3650)]  # of a database that a restore replaced, at least
    people: tuple[Person, ...] = ()
    role_passwords: dict[Text, Text]  # role: the connection whose password it gets, when a restore had to make it

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for key in ("service_stop", "service_start", "service_alive"):
            if not any(_SERVICE in word for word in getattr(self, key)):
                raise ValueError(f'{key} names no service; write "{_SERVICE}" where its name belongs')
        refuse_twins((person.username for person in self.people), "username")
        refuse_twins((person.auth_id for person in self.people), "auth_id")
        return self
