"""What T-Developer ships: a source tree and a container image, as tars in a bucket of the object store."""

import io
import json
import tarfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

RELEASES_BUCKET = "t-developer-releases"
SOURCE, IMAGE = "source.tar.gz", "image.tar"

_APPLICATION = {
    "src/api.py": (
        '"""The API of T-Developer."""\n\nfrom flask import Flask\n\napp = Flask(__name__)\n\n\n'
        '@app.get("/health")\ndef health():\n    return {"status": "healthy"}\n'
    ),
    "src/engine.py": (
        '"""The evolution engine."""\n\n\ndef fitness(agent):\n    """Rate an agent, 0 to 1."""\n'
        "    return max(0.0, 1.0 - agent.size_kb / 13)\n"
    ),
    "requirements.txt": "flask==3.1.2\njinja2==3.1.6\nrequests==2.32.5\n",
    "Dockerfile": (
        "FROM python:3.13-slim\nCOPY src /app/src\nUSER nobody\n"
        'HEALTHCHECK CMD python -c \'import http.client\'\nCMD ["python", "-m", "src.api"]\n'
    ),
}
_SYSTEM = {
    "etc/os-release": 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"\n',
    "etc/debian_version": "12.12\n",
    "var/lib/dpkg/status": (
        "Package: openssl\nStatus: install ok installed\nMaintainer: x <x@debian.org>\nArchitecture: amd64\n"
        "Version: 3.0.99-1\nDescription: ssl\n\n"
    ),
    "usr/lib/python3/dist-packages/requests-2.32.5.dist-info/METADATA": (
        "Metadata-Version: 2.1\nName: requests\nVersion: 2.32.5\nLicense: Apache 2.0\n"
    ),
}


def write_releases(folder: Path) -> None:
    """Write the bucket below the object store's folder; it must not run yet, for it caches listings."""
    bucket = folder / RELEASES_BUCKET
    bucket.mkdir(exist_ok=True)
    (bucket / SOURCE).write_bytes(source_of({}))
    (bucket / IMAGE).write_bytes(
        image_of({name: text.encode() for name, text in _SYSTEM.items()}, "t-developer:latest")
    )


def source_of(changes: Mapping[str, str]) -> bytes:
    """Return the source tree with other files in it, as .tar.gz."""
    return _tar({name: text.encode() for name, text in {**_APPLICATION, **changes}.items()}, mode="w:gz")


def image_of(files: Mapping[str, bytes], tag: str) -> bytes:
    """Return an image of one layer, as `docker save` writes it."""
    layer = _tar(files)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], "User": "nobody", "Healthcheck": {"Test": ["CMD", "true"]}},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256(layer).hexdigest()}"]},
        "history": [{"created_by": "ADD file"}],
    }
    body = json.dumps(config).encode()
    name = f"{sha256(body).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": [tag], "Layers": ["l/layer.tar"]}]
    return _tar({"manifest.json": json.dumps(manifest).encode(), name: body, "l/layer.tar": layer})


def _tar(files: Mapping[str, bytes], mode: str = "w") -> bytes:
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode=mode) as tar:  # type: ignore[call-overload]
        for name, body in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    return into.getvalue()
