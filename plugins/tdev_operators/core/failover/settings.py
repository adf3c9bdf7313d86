"""`[failover]`: the two sides, and how each is stopped for good, started, and found by name."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tdev_operators.core.setting_types import BucketName, FilePath, Positive, Seconds, Section, Text, refuse_twins

_PLACES = {"service_disable": "{service}", "service_enable": "{service}", "service_enabled": "{service}"}


class Side(Section):
    """`[[failover.sides]]`: one place where the system can run."""

    name: Text
    connection: Text  # Airflow connection of a role that may promote there
    host: Text  # of [[hosts]]: where that database runs
    database_service: Text
    data_directory: FilePath
    services: tuple[Text, ...]  # of the application there, in the order in which they start
    address: Text  # what the names point to when this side serves
    api_connection: str = ""  # an HTTP connection to the API there; empty: the API is not asked
    rewind: tuple[Text, ...] = ()  # on that host: pg_rewind to the other side, {data} filled in
    base: tuple[Text, ...] = ()  # on that host: the data folder anew from the other side
    agents: BucketName
    checkpoints: BucketName

    @property
    def buckets(self) -> dict[str, str]:
        """The side's buckets by their names in a set."""
        return {"agents": self.agents, "checkpoints": self.checkpoints}


class DnsSettings(Section):
    """`[failover.dns]`: who holds the names. `connection` is of the webhook; Route 53 takes `tdev_aws`."""

    kind: Literal["none", "route53", "webhook"]
    names: tuple[Text, ...]
    ttl_seconds: Annotated[int, Field(ge=1, le=86_400)]
    zone_id: str = ""
    record_type: Literal["A", "AAAA", "CNAME"] = "A"
    connection: str = ""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.kind != "none" and not self.names:
            raise ValueError("names is empty; write the names that must point to the other side")
        if self.kind == "route53" and not self.zone_id:
            raise ValueError('kind = "route53" needs zone_id, the hosted zone of the names')
        if self.kind == "webhook" and not self.connection:
            raise ValueError('kind = "webhook" needs connection, the Airflow connection with its address and token')
        return self


class FailoverSettings(Section):
    """`[failover]`. Without two sides there is nowhere to fail over to."""

    database: Literal["replica", "backup"]  # "backup": the other side has no replica and gets the newest PROVEN set
    lag_megabytes: Positive  # a planned failover is refused while the standby is further behind
    catch_up_seconds: Seconds  # for the standby to replay what the primary wrote last
    promote_seconds: Seconds
    service_disable: tuple[Text, ...]  # a fence survives a restart of the machine
    service_enable: tuple[Text, ...]
    service_enabled: tuple[Text, ...]  # exit status 0: it would come up by itself
    controldata: Annotated[tuple[Text, ...], Field(min_length=1)]  # on the host; {data} is the data directory
    rejoin_seconds: Seconds  # for a side to be rewound, or made anew
    switch_off: tuple[Text, ...]  # on the worker: turns the other side's machine off by the infrastructure; {side}
    is_switched_off: tuple[Text, ...]  # on the worker: exit status 0, the machine is off
    dns: DnsSettings
    sides: tuple[Side, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for key, place in _PLACES.items():
            if not any(place in word for word in getattr(self, key)):
                raise ValueError(f'{key} names no service; write "{place}" where its name belongs')
        if len(self.sides) not in (0, 2):
            raise ValueError(f"there are {len(self.sides)} sides; a failover goes from one to the other: give two")
        for what in ("name", "connection", "address"):
            refuse_twins((getattr(side, what) for side in self.sides), what)
        if bool(self.switch_off) is not bool(self.is_switched_off):
            raise ValueError("switch_off and is_switched_off belong together: what is turned off has to be seen off")
        return self
