"""Targets for scanners, a database that the real trivy reads, and programs that misbehave under a scanner's name."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sandbox.vulnerability_database import write_database
from tdev_operators.core.security.scanners import all_scanners
from tdev_operators.core.security.scanning import Ground, Limits, Scan, Target, plant, scan

SOURCE = {
    "app/main.py": "import subprocess\n\n\ndef go(x):\n    return subprocess.call(x, shell=True)\n",
    "requirements.txt": "requests==2.19.1 --hash=sha256:0\nclick==8.1.7  # fine\n",
    "Dockerfile": "FROM debian:12\nRUN apt-get install x\nUSER nobody\nHEALTHCHECK CMD true\n",
    "conf.ini": 'token = "ghp_012345678901234567890123456789abcdef"\n',
}


@dataclass
class Ward:
    """One target under one scanner. `path` comes first where programs are looked for."""

    home: Path
    files: Mapping[str, str]
    cache: Path
    kind: str = "source"
    environment: dict = field(default_factory=dict)
    limits: Limits = field(default_factory=lambda: Limits(timeout_seconds=120, report_mb=8, data_days=7))
    revision: str = "abc123"
    image: bytes = b""

    def target(self):
        root = self.home / f"root-{len(list(self.home.glob('root-*')))}"
        (root / "target").mkdir(parents=True)
        for name, text in self.files.items():
            (root / "target" / name).parent.mkdir(parents=True, exist_ok=True)
            (root / "target" / name).write_text(text)
        if self.image:
            (root / "target" / "image.tar").write_bytes(self.image)
        plant(root, all_scanners())
        return Target("shop", self.kind, root, self.revision)

    def scan(self, name: str, target: Target | None = None) -> Scan:
        target = target or self.target()
        folder = target.root.parent / f"ground-{target.root.name}-{name}"
        folder.mkdir()
        [scanner] = [one for one in all_scanners() if one.name == name]
        return scan(scanner, target, Ground(folder, self.cache, self.limits, self.environment), datetime.now(UTC))

    def program(self, name: str, text: str) -> None:
        """Put a program under a scanner's name before the real one."""
        folder = self.home / "bin"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(f"#!{sys.executable}\n{text}")
        (folder / name).chmod(0o755)
        real = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment["PATH"] = f"{folder}{os.pathsep}{real}"


@pytest.fixture(scope="session")
def database_of_trivy(tmp_path_factory):
    """A cache with a vulnerability database of now."""
    cache = tmp_path_factory.mktemp("trivy")
    write_database(cache)
    return cache


@pytest.fixture
def ward(tmp_path, database_of_trivy):
    return Ward(tmp_path, SOURCE, database_of_trivy)
