"""Where addresses and secrets come from: Airflow connections in a task, `AIRFLOW_CONN_...` variables on a shell."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from tdev_operators.core.errors import AccessDeniedError, SetupMissingError

POSTGRES = "tdev_postgres"
DBA = "tdev_dba"  # the owner of the maintained tables
AWS = "tdev_aws"
API = "tdev_api"

USER_INFO = re.compile(r"//[^/]*@")  # of an address
_SECRET_KEY = re.compile(
    r"passw|passphrase|secret|token|private_?key|api_?key|access_?key|credential|dsn|authorization|auth_header",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, repr=False)
class ConnectionFacts:
    """One connection: where a target is and how to log in. Empty strings stand for what is not set."""

    conn_id: str
    conn_type: str = ""
    host: str = ""
    port: int | None = None
    login: str = ""
    password: str = ""
    schema: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Show neither the password nor any value of `extra`, nor what an address says of a user."""
        host = USER_INFO.sub("//***@", self.host)
        return (
            f"ConnectionFacts({self.conn_id!r}, conn_type={self.conn_type!r}, host={host!r}, port={self.port!r}, "
            f"login={self.login!r}, password={'***' if self.password else ''!r}, schema={self.schema!r}, "
            f"extra keys={sorted(self.extra)})"
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every text that no message may hold: the password, plain and URL-encoded, and the secret extras."""
        plain = [text for text in (self.password, *_secret_texts(self.extra)) if text]
        return tuple(dict.fromkeys([*plain, *(quote(text, safe="") for text in plain)]))

    def scrub(self, text: str) -> str:
        """Return a vendor's text without our secrets."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text


class ConnectionSource(Protocol):
    """Finds connections by id."""

    def get(self, conn_id: str) -> ConnectionFacts:
        """Return the connection.

        Raises:
            SetupMissingError: there is none, or it cannot be read.
            AccessDeniedError: we may not see it.
        """


class EnvironmentConnections:
    """Connections from `AIRFLOW_CONN_<ID>` variables, in JSON or as a URI. Works without Airflow."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._environment = environment

    def get(self, conn_id: str) -> ConnectionFacts:
        """See `ConnectionSource.get`."""
        variable = f"AIRFLOW_CONN_{conn_id.upper()}"
        text = self._environment.get(variable, "").strip()
        if not text:
            raise SetupMissingError(
                f"The connection {conn_id} is missing; set {variable} to its JSON or URI form, as for Airflow."
            )
        return parse_connection(conn_id, text)


class AirflowConnections:
    """Connections from Airflow's secrets backends, for tasks. Their secrets are masked in the task's log."""

    def get(self, conn_id: str) -> ConnectionFacts:
        """See `ConnectionSource.get`."""
        # Not at the top: the command line shares this module and must work with Airflow dead.
        from airflow.sdk import BaseHook  # noqa: PLC0415
        from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException  # noqa: PLC0415
        from airflow.sdk.log import mask_secret  # noqa: PLC0415

        try:
            connection = BaseHook.get_connection(conn_id)
        except AirflowNotFoundException:
            raise SetupMissingError(
                f"The connection {conn_id} is missing; create it under Admin, Connections, "
                f"or by `airflow connections add {conn_id}`."
            ) from None
        except PermissionError:
            raise AccessDeniedError(
                f"This task may not read the connection {conn_id}; grant its team the right to."
            ) from None
        except (AirflowException, ValueError, TypeError):
            raise _unreadable(conn_id, "Airflow could not parse it") from None
        facts = ConnectionFacts(
            conn_id=conn_id,
            conn_type=connection.conn_type or "",
            host=connection.host or "",
            port=connection.port,
            login=connection.login or "",
            password=connection.password or "",
            schema=connection.schema or "",
            extra=_extra(conn_id, connection.extra),
        )
        for secret in facts.secrets:
            mask_secret(secret)
        return facts


def parse_connection(conn_id: str, text: str) -> ConnectionFacts:
    """Read a connection's JSON or URI form by the rules of Airflow.

    Raises:
        SetupMissingError: the text is neither; it is not quoted, since it holds secrets.
    """
    try:
        return _from_json(conn_id, text) if text.startswith("{") else _from_uri(conn_id, text)
    except ValueError:  # also JSON's; its text may hold a piece of a secret
        raise _unreadable(conn_id, "neither a JSON object nor a URI of the form type://login:password@host") from None


def _from_json(conn_id: str, text: str) -> ConnectionFacts:
    values = json.loads(text)
    unknown = set(values) - {"conn_type", "description", "host", "login", "password", "schema", "port", "extra"}
    if unknown:
        raise _unreadable(conn_id, f"there is no field {min(unknown)!r} in a connection")
    port = values.get("port")
    return ConnectionFacts(
        conn_id=conn_id,
        conn_type=_normal_type(values.get("conn_type") or ""),
        host=values.get("host") or "",
        port=int(port) if port else None,
        login=values.get("login") or "",
        password=values.get("password") or "",
        schema=values.get("schema") or "",
        extra=_extra(conn_id, values.get("extra")),
    )


def _from_uri(conn_id: str, uri: str) -> ConnectionFacts:
    kind = urlsplit(uri).scheme
    # `http://https://host` is Airflow's way to say that the host has a scheme of its own.
    _, *schemes = uri.split("://")
    host_has_scheme = len(schemes) > 1
    rest = uri.replace(f"{kind}://", "" if host_has_scheme else "//")
    if not kind or len(schemes) not in (1, 2) or (host_has_scheme and set("@:") & set(rest.partition("://")[0])):
        raise ValueError
    parts = urlsplit(rest)
    host = _host(parts)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return ConnectionFacts(
        conn_id=conn_id,
        conn_type=_normal_type(kind),
        host=f"{parts.scheme}://{host}" if host_has_scheme and host and parts.scheme else host,
        port=parts.port,
        login=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        schema=unquote(parts.path[1:]),
        extra=_extra(conn_id, query.get("__extra__", query)),
    )


def _host(parts: SplitResult) -> str:
    host = unquote(parts.hostname or "")
    if "/" in host:  # a socket folder, percent-encoded: urlsplit would change its case
        host = unquote(parts.netloc.rpartition("@")[2].partition(":")[0])
    return host


def _normal_type(conn_type: str) -> str:
    return "postgres" if conn_type == "postgresql" else conn_type.replace("-", "_")


def _extra(conn_id: str, extra: object) -> Mapping[str, Any]:
    if isinstance(extra, str):
        try:
            extra = json.loads(extra) if extra.strip() else {}
        except ValueError:
            raise _unreadable(conn_id, "its extra field is not JSON") from None
    if extra is None:
        return {}
    if not isinstance(extra, dict):
        raise _unreadable(conn_id, "its extra field is not a JSON object")
    return extra


def _unreadable(conn_id: str, why: str) -> SetupMissingError:
    return SetupMissingError(f"The connection {conn_id} cannot be read: {why}; write it anew.")


def _secret_texts(extra: object, *, under_secret: bool = False) -> Iterator[str]:
    if isinstance(extra, Mapping):
        for key, value in extra.items():
            yield from _secret_texts(value, under_secret=under_secret or bool(_SECRET_KEY.search(str(key))))
    elif isinstance(extra, list | tuple):
        for value in extra:
            yield from _secret_texts(value, under_secret=under_secret)
    elif under_secret and isinstance(extra, str):
        yield extra
