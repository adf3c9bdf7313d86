"""How the database lets people in: pg_hba.conf, TLS, and how passwords are kept."""

import hashlib
import ipaddress
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tdev_operators.core.database.alone import APPLICATION
from tdev_operators.core.security.audit.looking import AuditPorts, Looked
from tdev_operators.core.settings import Settings
from tdev_operators.core.sql import load_sql

AGAINST = "accepted"
HINT = "Mend pg_hba.conf (hostssl and scram-sha-256) and postgresql.conf, and reload."

_IN_THE_CLEAR = ("password", "ldap", "radius", "pam", "bsd")


def look(ports: AuditPorts, settings: Settings, at: datetime) -> Looked:  # noqa: ARG001  as every look
    """Return a line for each rule and setting that counts here.

    Raises:
        AccessDeniedError: the role may not read the rules (docs/privileges.md has the GRANT).
    """
    looked = Looked(seen=[settings.system.name])
    with ports.database.session(application_name=APPLICATION) as session:
        values = {row["name"]: row["setting"] for row in session.rows(load_sql("audit/access_settings"))}
        rules = session.rows(load_sql("audit/access_rules"))
    for rank, rule in enumerate(rules, 1):  # the first that fits decides: their order counts
        looked.facts.append(_line_of(rank, rule))
        _judge(rule, looked)
    remote = [rule for rule in rules if _is_remote(rule) and rule["auth_method"] != "reject"]
    if remote and values.get("ssl") != "on":
        looked.warn("TLS is off (ssl), and the rules let other machines in: passwords and rows pass in the clear.")
    if values.get("password_encryption") != "scram-sha-256":
        looked.warn(f"New passwords are kept as {values.get('password_encryption')}; set scram-sha-256.")
    looked.facts += [f"setting {name} = {value}" for name, value in sorted(values.items())]
    return looked


def _judge(rule: Mapping[str, Any], looked: Looked) -> None:
    line, method, remote = f"Line {rule['line_number']} of pg_hba.conf", rule["auth_method"], _is_remote(rule)
    if rule["error"]:
        looked.alarm(f"{line} is broken ({rule['error']}): the next restart would let nobody in.")
    elif method == "trust":
        told = f"{line} lets {rule['user_name']} in without a password ({_place(rule)})."
        looked.alarm(told) if remote else looked.warn(told)
    elif method == "ident" and remote:
        looked.alarm(f"{line} lets in whom the other machine says that he is (ident from {_place(rule)}).")
    elif method in _IN_THE_CLEAR and remote and rule["type"] != "hostssl":
        looked.alarm(f"{line} takes passwords in the clear ({method} from {_place(rule)}).")
    elif method == "md5":
        looked.warn(f"{line} takes MD5 ({_place(rule)}), which is worth little; use scram-sha-256.")
    elif remote and method not in {"reject", "cert"} and rule["type"] in {"host", "hostnossl"}:
        looked.warn(f"{line} takes connections without TLS from {_place(rule)}; write hostssl.")


def _is_remote(rule: Mapping[str, Any]) -> bool:
    """Whether a rule is for other machines: its range is not loopback."""
    if rule["type"] == "local":
        return False
    try:
        return not ipaddress.ip_network(_place(rule), strict=False).is_loopback
    except ValueError:
        return rule["address"] not in {"localhost", "samehost"}


def _place(rule: Mapping[str, Any]) -> str:
    """Return whom a rule is for: a range, `all`, a name, or the machine itself."""
    if rule["type"] == "local":
        return "the machine itself"
    if not rule["netmask"]:
        return str(rule["address"])
    # Python takes no mask of an IPv6 range.
    length = int(ipaddress.ip_address(rule["netmask"])).bit_count()
    return f"{rule['address']}/{length}"


def _line_of(rank: int, rule: Mapping[str, Any]) -> str:
    options = "".join(f" {_harmless(option)}" for option in rule.get("options") or ())
    told = f"{rule['type']} {rule['database']} {rule['user_name']} {_place(rule)}: {rule['auth_method']}{options}"
    return f"rule {rank}: {told}"


def _harmless(option: str) -> str:
    """Return an option of a rule; one that holds a secret (ldapbindpasswd, radiussecrets) as a digest."""
    name, _, value = option.partition("=")
    if not any(word in name for word in ("passwd", "secret")):
        return option
    return f"{name}=({hashlib.sha256(value.encode()).hexdigest()[:12]})"
