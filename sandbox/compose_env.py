"""Writes what docker-compose.yaml needs beside itself: `.env` with fresh secrets, `.run/compose.toml` with settings.

`make compose-env`. An existing `.env` stays as it is: its passwords are in the volumes already.
"""

import base64
import secrets
from collections.abc import Mapping
from pathlib import Path

from sandbox.processes import REPOSITORY
from sandbox.settings_file import write_settings
from sandbox.system import OPERATORS_ADDRESS, PUBLIC_NAMES

SETTINGS = {
    "hosts": [{"name": "t-developer", "reach": "local", "disks": ["/var/log/t-developer"], "services": []}],
    "public_names": [{"name": name, "port": 8443} for name in PUBLIC_NAMES],
    "recovery": {"database_host": ""},
    "tls": {"ca_file": "/var/log/t-developer/ca.pem"},
    "alerts": {
        "channels": ["mail"],
        "mail": {"sender": "maintenance@t-developer.com", "recipients": [OPERATORS_ADDRESS]},
    },
}
_PASSWORDS = (
    "AIRFLOW_DATABASE_PASSWORD",
    "AIRFLOW_SECRET_KEY",
    "POSTGRES_PASSWORD",
    "TDEV_ADMIN_PASSWORD",
    "TDEV_API_TOKEN",
    "TDEV_APPLICATION_PASSWORD",
    "TDEV_LEDGER_PASSWORD",
    "TDEV_MAINTENANCE_PASSWORD",
    "TDEV_S3_ACCESS_KEY",
    "TDEV_S3_SECRET_KEY",
)


def fresh_secrets() -> Mapping[str, str]:
    """Return every variable that docker-compose.yaml asks for."""
    return {
        **{name: secrets.token_hex(16) for name in _PASSWORDS},
        "AIRFLOW_FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "AIRFLOW_JWT_SECRET": secrets.token_hex(64),
    }


def main() -> None:
    """Write both files into the checkout."""
    env = REPOSITORY / ".env"
    if not env.exists():
        env.touch(mode=0o600)
        env.write_text("".join(f"{name}={value}\n" for name, value in fresh_secrets().items()), encoding="utf-8")
    folder = REPOSITORY / ".run"
    folder.mkdir(exist_ok=True)
    settings: Path = folder / "compose.toml"
    settings.unlink(missing_ok=True)
    write_settings(settings, SETTINGS)
    settings.chmod(0o644)  # no secret in it, and the containers' user must read it
    print(f"{env.name} and {settings.relative_to(REPOSITORY)} are written; now: docker-compose up --build")


if __name__ == "__main__":
    main()
