"""Owner, grants and settings of a database itself: read from one server, and what gives them to another's."""

from psycopg.sql import SQL, Composed, Identifier, Literal

from tdev_operators.core.backup.database.names import all_or_nothing, facts_of
from tdev_operators.core.backup.manifest import DatabaseGrant, DatabaseProperties, DatabaseSetting
from tdev_operators.core.backup.ports import Session
from tdev_operators.core.errors import InputError
from tdev_operators.core.sql import load_sql

_PUBLIC = SQL("PUBLIC")
_PRIVILEGES = {"CONNECT": SQL("CONNECT"), "CREATE": SQL("CREATE"), "TEMPORARY": SQL("TEMPORARY")}
# Settings that are lists of names: as one literal they would be one name. The server itself copies them as they are.
_LISTS = frozenset({"search_path", "temp_tablespaces", "local_preload_libraries", "session_preload_libraries"})


def properties_of(session: Session, name: str) -> DatabaseProperties:
    """Return what belongs to a database of this server.

    Raises:
        InputError: there is no such database.
    """
    facts = facts_of(session, name)
    if not facts:
        raise InputError(f"There is no database {name} on this server; mend the name or the connection.")
    return DatabaseProperties(
        owner=facts["owner"],
        connection_limit=facts["connection_limit"],
        comment=facts["comment"],
        grants=_grants_on(session, name),
        settings=tuple(
            DatabaseSetting(**row) for row in session.rows(load_sql("backup/database_settings"), {"name": name})
        ),
    )


def give_properties(session: Session, name: str, properties: DatabaseProperties) -> None:
    """Give all but the comment to a database, in one transaction. Its roles exist."""
    database, owner = Identifier(name), properties.owner
    # The owner's own rights go too: by ALTER DATABASE ... OWNER TO they have come from the former one.
    grantees = {grant.grantee for grant in _grants_on(session, name)} | {"", owner}
    statements: list[Composed] = [
        SQL("ALTER DATABASE {} OWNER TO {}").format(database, Identifier(owner)),
        SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(database, Literal(properties.connection_limit)),
        SQL("ALTER DATABASE {} RESET ALL").format(database),
        *(SQL("REVOKE ALL ON DATABASE {} FROM {}").format(database, _role(one)) for one in sorted(grantees)),
        *(_granting(database, grant) for grant in properties.grants),
    ]
    for setting in properties.settings:
        statements += _setting(database, setting)
    all_or_nothing(session, statements)


def _grants_on(session: Session, name: str) -> tuple[DatabaseGrant, ...]:
    return tuple(DatabaseGrant(**row) for row in session.rows(load_sql("backup/database_grants"), {"name": name}))


def _granting(database: Identifier, grant: DatabaseGrant) -> Composed:
    option = SQL(" WITH GRANT OPTION") if grant.is_grantable else SQL("")
    privilege, grantee = _PRIVILEGES[grant.privilege], _role(grant.grantee)
    return SQL("GRANT {} ON DATABASE {} TO {}{}").format(privilege, database, grantee, option)


def _setting(database: Identifier, setting: DatabaseSetting) -> list[Composed]:
    whose = SQL("ALTER ROLE {} IN DATABASE {}").format(Identifier(setting.role), database)
    whom = whose if setting.role else SQL("ALTER DATABASE {}").format(database)
    # A setting's name may have dots (`app.tenant`), which quote apart.
    name = Identifier(*setting.name.split("."))
    if setting.name in _LISTS:
        given = SQL("SELECT pg_catalog.set_config({}, {}, true)").format(Literal(setting.name), Literal(setting.value))
        return [given, SQL("{} SET {} FROM CURRENT").format(whom, name)]
    return [SQL("{} SET {} TO {}").format(whom, name, Literal(setting.value))]


def _role(name: str) -> SQL | Identifier:
    return Identifier(name) if name else _PUBLIC
