import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PROGRAM = """
import sys
from pathlib import Path
import tdev_operators
from tdev_operators.core.settings import load_settings
from tdev_operators.core.sql import include_dir, load_sql

package = Path(tdev_operators.__file__).parent
assert Path(sys.prefix) in package.parents, package
assert include_dir() == package / "include"
assert load_settings().system.name == "t-developer"
for file in (include_dir() / "sql").rglob("*.sql"):
    assert load_sql(str(file.relative_to(include_dir() / "sql").with_suffix(""))).startswith("--"), file

from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization

bag = DagBag(sys.argv[1])
assert not bag.import_errors, bag.import_errors
for dag in bag.dags.values():
    DagSerialization.to_dict(dag)  # knows the timetable and the deadlines only through the plugin's entry point
print("dags:", *sorted(bag.dags))
"""


@pytest.fixture(scope="module")
def uv():
    found = shutil.which("uv") or str(REPOSITORY / ".tools" / "uv")
    assert Path(found).exists(), "run the tests by `make test`, which fetches uv"
    return found


def run(*argv, cwd, **env):
    ended = subprocess.run(
        argv, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, check=False, timeout=240
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_the_wheel_works_alone_in_a_clean_environment(tmp_path, uv):
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path), cwd=REPOSITORY)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "tdev_operators/include/tdev.toml" in names
    assert "tdev_operators/py.typed" in names
    assert not [name for name in names if name.startswith(("sandbox", "tests", "dags"))]

    requirements = tmp_path / "requirements.txt"
    export = ("export", "--locked", "--no-default-groups", "--no-emit-project", "--no-hashes", "-q", "-o")
    run(uv, *export, str(requirements), cwd=REPOSITORY)
    environment = tmp_path / "clean"
    run(uv, "venv", "-q", "--python", sys.executable, str(environment), cwd=tmp_path)
    python = environment / "bin" / "python"
    install = ("pip", "install", "-q", "--python", str(python), "-r", str(requirements), str(wheel))
    run(uv, *install, cwd=tmp_path, UV_LINK_MODE="hardlink")

    dags = tmp_path / "dags"
    shutil.copytree(REPOSITORY / "dags", dags, ignore=shutil.ignore_patterns("__pycache__"))
    clean = {
        "AIRFLOW_HOME": str(tmp_path / "home"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(tmp_path / "none"),
        "PYTHONPATH": "",
    }
    printed = run(str(python), "-c", PROGRAM, str(dags), cwd=tmp_path, **clean)
    expected = sorted(file.stem for file in (REPOSITORY / "dags").glob("*.py"))
    assert printed.splitlines()[-1].split() == ["dags:", *expected]
    version = run(str(environment / "bin" / "tdev"), "--version", cwd=tmp_path, **clean)
    assert version.startswith("tdev-maintenance ")
