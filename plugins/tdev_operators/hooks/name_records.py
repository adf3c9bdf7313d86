"""Who holds the names: Amazon Route 53, or a webhook of your own in front of whatever does."""

import json
from typing import Any

import httpx

from tdev_operators.core.errors import (
    AccessDeniedError,
    GarbledAnswerError,
    InputError,
    TargetTimeoutError,
    TargetUnreachableError,
)
from tdev_operators.core.failover.ports import NameRecords
from tdev_operators.core.failover.settings import DnsSettings
from tdev_operators.hooks.aws import aws_errors, make_client
from tdev_operators.hooks.connections import AWS, ConnectionFacts, ConnectionSource

_SECONDS = 10.0
_REFUSED = (401, 403)
_ERROR_FROM = 400


def name_records(settings: DnsSettings, connections: ConnectionSource) -> NameRecords | None:
    """Return the holder of the names; None where the settings say that there is none.

    Raises:
        SetupMissingError: its connection is missing.
    """
    match settings.kind:
        case "route53":
            return Route53(settings, connections.get(AWS))
        case "webhook":
            return Webhook(connections.get(settings.connection))
        case "none":
            return None


class Route53:
    """Records of one hosted zone. Needs `route53:ListResourceRecordSets` and `route53:ChangeResourceRecordSets`."""

    def __init__(self, settings: DnsSettings, facts: ConnectionFacts) -> None:
        self._zone, self._type, self._facts = settings.zone_id, settings.record_type, facts

    def address_of(self, name: str) -> str:
        """See `NameRecords.address_of`."""
        wanted = f"{name.rstrip('.').lower()}."
        with self._errors():
            page = self._client().list_resource_record_sets(
                HostedZoneId=self._zone, StartRecordName=wanted, StartRecordType=self._type, MaxItems="1"
            )
        for record in page["ResourceRecordSets"]:
            if record["Name"] == wanted and record["Type"] == self._type:
                if "ResourceRecords" not in record or "SetIdentifier" in record:
                    raise InputError(f"{name} is an alias or one of several weighted records; give it a plain one.")
                return str(record["ResourceRecords"][0]["Value"]).rstrip(".")
        return ""

    def point(self, name: str, address: str, ttl_seconds: int) -> None:
        """See `NameRecords.point`."""
        record = {"Name": name, "Type": self._type, "TTL": ttl_seconds, "ResourceRecords": [{"Value": address}]}
        changes = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]}
        with self._errors():
            self._client().change_resource_record_sets(HostedZoneId=self._zone, ChangeBatch=changes)

    def _client(self) -> Any:
        return make_client(self._facts, "route53", timeout_seconds=_SECONDS)

    def _errors(self) -> Any:
        return aws_errors(f"The hosted zone {self._zone}", self._facts)


class Webhook:
    """`GET <address>?name=N` answers `{"address": "..."}`; `POST <address>` takes name, address and ttl_seconds.

    The connection's host is the address, its password the bearer token.
    """

    def __init__(self, facts: ConnectionFacts) -> None:
        self._facts = facts

    def address_of(self, name: str) -> str:
        """See `NameRecords.address_of`."""
        answer = self._ask("GET", params={"name": name})
        try:
            return str(json.loads(answer.content)["address"] or "")
        except (ValueError, KeyError, TypeError):
            raise GarbledAnswerError(
                f"The webhook {self._facts.conn_id} answers no address; see what it should say in docs/failover.md."
            ) from None

    def point(self, name: str, address: str, ttl_seconds: int) -> None:
        """See `NameRecords.point`."""
        self._ask("POST", json={"name": name, "address": address, "ttl_seconds": ttl_seconds})

    def _ask(self, method: str, **what: Any) -> httpx.Response:
        facts, where = self._facts, f"The webhook {self._facts.conn_id}"
        address = facts.host if "://" in facts.host else f"{facts.schema or 'https'}://{facts.host}"
        url = httpx.URL(address).copy_with(port=facts.port) if facts.port else httpx.URL(address)
        headers = {"Authorization": f"Bearer {facts.password}"} if facts.password else {}
        try:
            answer = httpx.request(method, url, headers=headers, timeout=_SECONDS, trust_env=False, **what)
        except httpx.TimeoutException:
            raise TargetTimeoutError(f"{where} did not answer within {_SECONDS:g} s; read back what it did.") from None
        except httpx.TransportError as error:
            raise TargetUnreachableError(f"{where} cannot be reached ({type(error).__name__}).") from None
        if answer.status_code in _REFUSED:
            raise AccessDeniedError(f"{where} refuses our token; write it anew.")
        if answer.status_code >= _ERROR_FROM:
            raise TargetUnreachableError(f"{where} answers {answer.status_code}; see its log.")
        return answer
