"""Airflow's own house: who may do what in it, failed logins, and what its connections show."""

from datetime import datetime
from urllib.parse import urlsplit

from tdev_operators.core.reporting.wording import counted
from tdev_operators.core.security.audit.looking import AirflowConnection, AuditPorts, Looked
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import Measurement

AGAINST = "accepted"
HINT = "Deactivate users and take roles away in Airflow's Security menu, move secrets of an extra into the password."

_SECRETS = ("password", "secret", "token", "private_key", "api_key")
_HIDDEN = "***"


def look(ports: AuditPorts, settings: Settings, at: datetime) -> Looked:  # noqa: ARG001  as every look
    """Return a line for each user, role and connection. WARNING: many failed logins, http, a secret that shows."""
    looked, limit = Looked(seen=["Airflow"]), settings.security.audit.airflow_failed_logins
    users, rights = ports.airflow.users(), ports.airflow.rights()
    for user in users:
        looked.facts.append(f"user {user.name}: {', '.join(sorted(user.roles))}{'' if user.active else ' (inactive)'}")
        if user.active and user.failed_logins >= limit:
            looked.warn(f"{counted(user.failed_logins, 'login')} of {user.name} failed in a row or since the last one.")
    looked.facts += [f"role {role}: {right}" for role, granted in rights.items() for right in granted]
    for connection in ports.airflow.connections():
        looked.facts.append(f"connection {connection.name}: {connection.kind} {_place(connection.host)}".rstrip())
        for sentence in _open_in(connection):
            looked.warn(sentence)
    admins = sum("Admin" in user.roles and user.active for user in users)
    looked.figures += [
        Measurement("active users", sum(user.active for user in users)),
        Measurement("admins", admins),
    ]
    return looked


def _place(host: str) -> str:
    """Return where a connection goes, without user, path or query: those may be secrets."""
    parts = urlsplit(host if "://" in host else f"//{host}")
    try:
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        port = ""
    return f"{f'{parts.scheme}://' if parts.scheme else ''}{parts.hostname or ''}{port}"


def _open_in(connection: AirflowConnection) -> list[str]:
    found = [
        f"The connection {connection.name} shows {key} in its extra."
        for key, value in connection.extra.items()
        if any(word in key.lower() for word in _SECRETS) and value and value != _HIDDEN
    ]
    if "@" in connection.host:
        found.append(f"The connection {connection.name} has a user or password in its host.")
    return found
