"""The wheel, built from the source distribution, is whole and works outside the checkout."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.skipif(
    not (ROOT / "schemegen" / "__init__.py").is_file(), reason="there is no checkout to build from"
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Build the source distribution and, from it, the wheel."""
    pytest.importorskip("build")
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [source] = folder.glob("*.tar.gz")
    [wheel] = folder.glob("*.whl")
    return source, wheel


def tracked(folder: str, suffix: str) -> set[str]:
    """Return the files below a folder of the checkout, relative to the checkout."""
    files = (ROOT / folder).rglob(f"*{suffix}")
    return {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}


def test_the_wheel_holds_every_module_scheme_grammar_and_explanation(
    built: tuple[Path, Path],
) -> None:
    with zipfile.ZipFile(built[1]) as wheel:
        names = set(wheel.namelist())
    code = tracked("schemegen", ".py") | tracked("schemegen", ".md") | {"schemegen/py.typed"}
    assert len(code) > 50
    assert code <= names
    beside = tracked("zoo", "") | tracked("grammars", "")
    files = {name for name in beside if (ROOT / name).is_file()}
    assert "zoo/schemes/rk2.scheme" in files
    assert {f"schemegen/{name}" for name in files} <= names
    assert not [name for name in names if name.startswith(("tests/", "docs/", "zoo/", "grammars/"))]


def test_the_source_distribution_can_be_tested(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[0]) as source:
        names = {name.partition("/")[2] for name in source.getnames()}
    for name in ("pyproject.toml", "README.md", "LICENSE", "constraints.txt", "zoo/train.py"):
        assert name in names
    assert tracked("tests", ".py") <= names
    assert not [name for name in names if name.startswith(("build/", "runs/", "data/"))]


@pytest.fixture(scope="module")
def python(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel alone into a new environment that sees the dependencies of this one."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False, symlinks=True)
    [site] = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(built[1]) as wheel:
        wheel.extractall(site)
    dependencies = [path for path in sys.path if path.endswith("site-packages")]
    (site / "dependencies.pth").write_text("\n".join(dependencies) + "\n")
    return folder / "bin" / "python"


def outside(python: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(python), *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


def test_the_installed_package_finds_its_own_files(python: Path, tmp_path: Path) -> None:
    code = (
        "from schemegen.resources import resource_dir as r; print(r('zoo')); print(r('grammars'))"
    )
    done = outside(python, tmp_path, "-c", code)
    assert done.returncode == 0, done.stderr
    home = python.parent.parent
    for line in done.stdout.split():
        assert Path(line).is_relative_to(home)


def test_the_installed_command_compiles_a_scheme_of_the_zoo(python: Path, tmp_path: Path) -> None:
    main = "from schemegen.cli import main; main()"
    done = outside(python, tmp_path, "-c", main, "compile", "zoo/rk2", "-o", "out")
    assert done.returncode == 0, done.stderr
    assert "order" in done.stdout
    assert list((tmp_path / "out").rglob("model.py"))
