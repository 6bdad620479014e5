"""The rules of the house that ARCHITECTURE.md and CONTRIBUTING.md state."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = sorted((ROOT / "physlearn").rglob("*.py"))

VIOLATIONS = {
    "layers": ("models/base.py", "import physlearn.scan"),
    "two-roads": ("meanfield/__init__.py", "from physlearn.solvers import solve"),
    "numba": ("solvers/base.py", "import numba"),
    "matplotlib": ("scan/__init__.py", "def draw():\n    import matplotlib.pyplot"),
}


def lint_imports(folder, contract):
    command = [Path(sys.executable).parent / "lint-imports", "--contract", contract, "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("contract", VIOLATIONS)
def test_a_broken_layer_is_seen(contract, tmp_path):
    """Each contract holds as it is, and fails when one line breaks it."""
    shutil.copytree(ROOT / "physlearn", tmp_path / "physlearn", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    kept = lint_imports(tmp_path, contract)
    assert kept.returncode == 0, kept.stdout
    file, line = VIOLATIONS[contract]
    with (tmp_path / "physlearn" / file).open("a") as stream:
        stream.write(f"\n{line}\n")
    broken = lint_imports(tmp_path, contract)
    assert broken.returncode == 1
    assert "1 broken" in broken.stdout


def test_files_and_functions_are_short():
    long = [path.name for path in LIBRARY if len(path.read_text().splitlines()) >= 500]
    for path in LIBRARY:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node):
                body = node.body[1:]
            else:
                body = getattr(node, "body", None)
            if isinstance(node, ast.FunctionDef) and body and node.end_lineno - body[0].lineno >= 70:
                long.append(f"{path.name}: {node.name}")
    assert long == []


def test_no_catch_all_modules():
    assert not {"utils", "util", "core", "helpers", "common", "misc"} & {path.stem for path in LIBRARY}


@pytest.mark.parametrize("family", ["theory", "simulations"])
def test_folders_beside_the_library_are_never_imported(family):
    folders = [path for path in (ROOT / family).iterdir() if path.is_dir()]
    assert folders
    assert [path.name for path in folders if path.name.isidentifier()] == []
    assert list((ROOT / family).rglob("__init__.py")) == []


def test_every_theory_is_complete():
    parts = ("derivation.md", "curves.py", "reference.toml")
    folders = [path for path in (ROOT / "theory").iterdir() if path.is_dir()]
    missing = [f"{path.name}/{part}" for path in folders for part in parts if not (path / part).exists()]
    assert missing == []
