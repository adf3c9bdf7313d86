"""Airflow's own users, roles and connections by its API: implements `core.security.audit.looking.AirflowHouse`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import httpx

from tdev_operators.core.errors import AccessDeniedError, GarbledAnswerError, SetupMissingError, TargetUnreachableError
from tdev_operators.core.security.audit.looking import AirflowConnection, AirflowUser
from tdev_operators.hooks.connections import USER_INFO, ConnectionFacts, ConnectionSource

AIRFLOW = "tdev_airflow"  # http: Airflow's address, and a user of it who may read users, roles and connections

_SECONDS = 20.0
_PAGE, _MOST_PAGES = 100, 200
_REFUSED = (401, 403)
_FAB = "/auth/fab/v1"


class AirflowApi:
    """The API server of the connection `tdev_airflow`. Its user is an Admin, or may read the three."""

    def __init__(self, connections: ConnectionSource) -> None:
        self._connections = connections

    def users(self) -> Sequence[AirflowUser]:
        """See `AirflowHouse.users`."""
        return [
            AirflowUser(
                name=str(one["username"]),
                roles=tuple(str(role["name"]) for role in one.get("roles") or ()),
                active=bool(one.get("active")),
                failed_logins=int(one.get("failed_login_count") or 0),
                last_login=str(one.get("last_login") or ""),
            )
            for one in self._each(f"{_FAB}/users", "users")
        ]

    def rights(self) -> Mapping[str, Sequence[str]]:
        """See `AirflowHouse.rights`."""
        return {
            str(role["name"]): sorted(
                f"{one['action']['name']} on {one['resource']['name']}" for one in role.get("actions") or ()
            )
            for role in self._each(f"{_FAB}/roles", "roles")
        }

    def connections(self) -> Sequence[AirflowConnection]:
        """See `AirflowHouse.connections`."""
        return [
            AirflowConnection(
                str(one["connection_id"]), str(one["conn_type"]), str(one.get("host") or ""), _extra(one.get("extra"))
            )
            for one in self._each("/api/v2/connections", "connections")
        ]

    @cached_property
    def _facts(self) -> ConnectionFacts:
        return self._connections.get(AIRFLOW)

    @cached_property
    def _client(self) -> httpx.Client:
        facts = self._facts
        if USER_INFO.search(facts.host):
            raise SetupMissingError(
                f"The connection {AIRFLOW} has a user or password in its host, where every message would show it; move "
                "them into login and password."
            )
        address = facts.host if "://" in facts.host else f"{facts.extra.get('scheme', 'http')}://{facts.host}"
        base = f"{address}:{facts.port}" if facts.port else address
        client = httpx.Client(base_url=base, timeout=_SECONDS)
        login = {"username": facts.login, "password": facts.password}
        answer = self._answer(client, "POST", "/auth/token", json=login)
        try:
            client.headers["Authorization"] = f"Bearer {answer['access_token']}"
        except (KeyError, TypeError):
            raise GarbledAnswerError(f"Airflow at {base} gives out no token; mend the connection {AIRFLOW}.") from None
        return client

    def _each(self, path: str, key: str) -> Iterator[Mapping[str, Any]]:
        offset = 0
        for _ in range(_MOST_PAGES):
            answer = self._answer(self._client, "GET", path, params={"limit": _PAGE, "offset": offset})
            try:
                page, total = answer[key], int(answer["total_entries"])
            except (KeyError, TypeError, ValueError):
                raise GarbledAnswerError(f"Airflow answers {path} in another shape than Airflow 3.3 does.") from None
            yield from page
            offset += len(page)
            if not page or offset >= total:
                return

    def _answer(self, client: httpx.Client, method: str, path: str, **more: Any) -> Any:
        try:
            answer = client.request(method, path, **more)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise SetupMissingError(f"The connection {AIRFLOW} has no address; write http://host:port.") from None
        except httpx.HTTPError as error:
            raise TargetUnreachableError(
                f"Airflow's API at {client.base_url} cannot be reached ({type(error).__name__}); see whether it runs."
            ) from None
        if answer.status_code in _REFUSED:
            raise AccessDeniedError(
                f"Airflow refuses the user of {AIRFLOW} at {path} (status {answer.status_code}); give it a role that "
                "may read users, roles and connections."
            )
        if not answer.is_success:
            raise GarbledAnswerError(f"Airflow answers {path} with status {answer.status_code}.")
        try:
            return answer.json()
        except ValueError:
            raise GarbledAnswerError(f"Airflow answers {path} with something that is no JSON.") from None


def _extra(text: Any) -> Mapping[str, object]:
    try:
        found = json.loads(text) if isinstance(text, str) and text else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
