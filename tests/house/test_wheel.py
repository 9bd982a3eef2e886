"""The wheel: what `pipx install .` puts on a machine."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.house.sources import PACKAGES, ROOT, sources


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("quarterdeck-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_style_sheet_is_inside(names: set[str]) -> None:
    assert "console/console.tcss" in names


def test_every_module_of_ours_is_inside(names: set[str]) -> None:
    assert {source.name for source in sources()} - names == set()


def test_every_data_file_of_ours_is_inside(names: set[str]) -> None:
    assert data_files() - names == set()


def data_files() -> set[str]:
    """Return what lies among our modules and is not Python: recordings, presets, price tables."""
    found = (path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file())
    return {
        path.relative_to(ROOT).as_posix()
        for path in found
        if "__pycache__" not in path.parts and path.suffix not in {".py", ".pyc"} and not path.name.startswith(".")
    }


def test_nothing_else_is_inside(names: set[str]) -> None:
    tops = {Path(name).parts[0] for name in names}
    assert {top for top in tops if not top.startswith("quarterdeck-")} == set(PACKAGES)


def test_the_command_is_declared() -> None:
    assert 'quarterdeck = "console.cli:main"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
