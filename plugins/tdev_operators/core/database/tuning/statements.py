"""The statements that change a setting: composed for the server, and as text for people. They fit no transaction."""

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from tdev_operators.core.database.tuning.units import LISTS, split_list
from tdev_operators.core.database.wording import untitled


def alter_system(name: str, value: str | None) -> Composed:
    """Return the statement that writes a setting into postgresql.auto.conf; None takes it out of there."""
    named = SQL(".").join(Identifier(part) for part in name.split("."))
    # An empty list would be written as a list of one element without a name, with which the server does not start.
    if value is None or (name.lower() in LISTS and not split_list(value)):
        return SQL("-- a setting out of postgresql.auto.conf\nALTER SYSTEM RESET {}").format(named)
    return SQL("-- a setting into postgresql.auto.conf\nALTER SYSTEM SET {} = {}").format(named, _literals(name, value))


def alter_system_text(name: str, value: str | None) -> str:
    """Return the same statement for people to read, or to run in psql."""
    return untitled(alter_system(name, value)) + ";"


def elsewhere(owner: str, name: str, value: str, *, needs_restart: bool) -> str:
    """Return how a setting is changed where the files belong to somebody else."""
    match owner:
        case "rds":
            method = "pending-reboot" if needs_restart else "immediate"
            return (
                "aws rds modify-db-parameter-group --db-parameter-group-name <group> --parameters "
                f"'ParameterName={name},ParameterValue={value},ApplyMethod={method}'"
            )
        case "patroni":
            then = " ; patronictl restart <cluster>" if needs_restart else ""
            return f"patronictl edit-config <cluster> --pg '{name}={value}' --force{then}"
        case _:
            then = "restart the server" if needs_restart else "SELECT pg_reload_conf();"
            return f"in the file that the server's configuration comes from: {name} = '{value}'; then {then}"


def _literals(name: str, value: str) -> Composable:
    if name.lower() not in LISTS:
        return Literal(value)
    return SQL(", ").join(Literal(element) for element in split_list(value))
