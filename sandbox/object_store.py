"""S3 over HTTP on disk: `rclone serve s3`. Its lies stand in README.md and tests/sandbox/test_object_store.py."""

import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from sandbox.parts import Part
from sandbox.processes import Child, Supervisor, answers_at

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

REGION = "us-east-1"


def s3_client(endpoint_url: str, access_key: str, secret_key: str) -> "S3Client":
    """Return a client for an S3 server that is not Amazon's."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint_url,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name=REGION,
        config=Config(s3={"addressing_style": "path"}, connect_timeout=5, read_timeout=30),
    )


class ObjectStore(Part):
    """An S3 server whose buckets are the folders below `folder`; one pair of keys."""

    def __init__(self, supervisor: Supervisor, name: str = "object-store") -> None:
        """Make the folder and the keys; a bucket is made by making its folder before the start, or over S3."""
        super().__init__(supervisor, name)
        self.folder: Path = supervisor.home / name
        self.folder.mkdir(mode=0o700)
        self.access_key = f"AKIA{secrets.token_hex(8).upper()}"
        self.secret_key = secrets.token_hex(20)

    @property
    def endpoint_url(self) -> str:
        """The address for S3 clients."""
        return f"http://{self.host}:{self.port}"

    def client(self) -> "S3Client":
        """Return a boto3 client with the keys."""
        return s3_client(self.endpoint_url, self.access_key, self.secret_key)

    def create_bucket(self, name: str) -> None:
        """Make a bucket; an existing one stays as it is."""
        if self.running:
            self.client().create_bucket(Bucket=name)
        else:
            (self.folder / name).mkdir(exist_ok=True)

    def _spawn(self) -> Child:
        return self.supervisor.spawn(
            self.name,
            [Path(sys.executable).with_name("rclone"), "serve", "s3", f"--addr={self.host}:{self.port}", self.folder],
            env={
                "RCLONE_AUTH_KEY": f'"{self.access_key},{self.secret_key}"',
                "RCLONE_CONFIG": "",  # in memory: no file of the developer's is read
                "RCLONE_CACHE_DIR": str(self.supervisor.home / f"{self.name}-cache"),
            },
            ready=lambda: answers_at(self.port),
        )
