"""Roles, memberships and grants of the database, against what somebody accepted."""

from datetime import datetime

from tdev_operators.core.database.alone import APPLICATION
from tdev_operators.core.security.audit.looking import AuditPorts, Looked
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql

AGAINST = "accepted"
HINT = "REVOKE or DROP ROLE what nobody wants."

_ATTRIBUTES = ("superuser", "createrole", "createdb", "replication", "bypassrls")


def look(ports: AuditPorts, settings: Settings, at: datetime) -> Looked:
    """Return a line for each role, membership and grant. WARNING: PUBLIC may create; a password that has expired."""
    looked = Looked()
    with ports.database.session(application_name=APPLICATION) as session:
        for role in session.rows(load_sql("audit/roles")):
            may = [name for name in _ATTRIBUTES if role[name]]
            login = "may log in" if role["login"] else "may not log in"
            looked.facts.append(f"role {role['name']}: {', '.join([login, *may])}")
            if role["login"] and role["valid_until"] is not None and role["valid_until"] <= at:
                looked.warn(f"The password of {role['name']} has expired on {role['valid_until']:%Y-%m-%d}.")
        looked.facts += [
            f"member: {one['member']} of {one['role']}{' (may grant it on)' if one['admin'] else ''}"
            for one in session.rows(load_sql("audit/memberships"))
        ]
        looked.facts += [
            f"owner: {one['owner']} of {one['kind']} {one['object']}" for one in session.rows(load_sql("audit/owners"))
        ]
        for grant in session.rows(load_sql("audit/grants")):
            looked.facts.append(
                f"grant: {grant['privileges']} on {grant['kind']} {grant['object']} to {grant['grantee']}"
            )
            if grant["grantee"] == "PUBLIC" and grant["kind"] == "schema" and "CREATE" in grant["privileges"]:
                looked.warn(f"Everybody may create objects in the schema {grant['object']}.")
    looked.seen.append(settings.system.name)
    return looked
