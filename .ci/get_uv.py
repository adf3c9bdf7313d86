"""Fetch the pinned uv into .tools/, with nothing but Python's standard library (a fresh Debian has no pip and no venv).

The SHA-256 below is what makes the download trustworthy, not the transport: a machine without CA certificates may
therefore fetch it too.
"""

import hashlib
import io
import platform
import ssl
import sys
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

VERSION = "0.13.9"
_BASE = "https://files.pythonhosted.org/packages"
WHEELS = {
    "x86_64": (
        f"{_BASE}/3d/aa/26d64642d808de4a652579ef950d7cd2d37f080a8babf9c67c6b75fc4c3f"
        f"/uv-{VERSION}-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19",
    ),
    "aarch64": (
        f"{_BASE}/57/15/94b6cd62ac3ff6550288328e8035288875197cbc183f51554b266a69877b"
        f"/uv-{VERSION}-py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64.whl",
        "5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe",
    ),
}


def fetch(url: str) -> bytes:
    """Return the content of the address, with certificates checked where the machine can."""
    try:
        with urllib.request.urlopen(url, timeout=120) as answer:
            return answer.read()
    except urllib.error.URLError as error:
        if not isinstance(error.reason, ssl.SSLCertVerificationError):
            raise
    with urllib.request.urlopen(url, timeout=120, context=ssl._create_unverified_context()) as answer:
        return answer.read()


def main() -> None:
    """Put `uv` into the folder that the first argument names."""
    target = Path(sys.argv[1])
    if sys.version_info < (3, 11):
        sys.exit(f"Python 3.11 or newer is needed; {sys.executable} is {platform.python_version()}.")
    if platform.machine() not in WHEELS:
        sys.exit(f"No pinned uv for {platform.machine()}; install uv {VERSION} and run `make UV=uv ...`.")
    url, digest = WHEELS[platform.machine()]
    wheel = fetch(url)
    if hashlib.sha256(wheel).hexdigest() != digest:
        sys.exit(f"What {url} gave is not the pinned uv {VERSION}; try again, or look who answers there.")
    target.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        program = archive.read(f"uv-{VERSION}.data/scripts/uv")
    partial = target / "uv.part"
    partial.write_bytes(program)
    partial.chmod(0o755)
    partial.rename(target / "uv")


if __name__ == "__main__":
    main()
