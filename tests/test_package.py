"""The package as installed: what an import costs, what a wheel carries, what a read-only place allows."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import physlearn

ROOT = Path(__file__).resolve().parents[1]
HEAVY = (
    "numba",
    "scipy",
    "joblib",
    "xarray",
    "matplotlib",
    "tqdm",
    "h5py",
    "pandas",
    "threadpoolctl",
    "dask",
)
SOLVE = """
from physlearn import AMP, Perceptron, Teacher, solve
result = solve(Perceptron(alpha=0.5, rule=Teacher()).sample(N=51, rng=1), AMP(), rng=2)
assert -1 <= result.teacher_overlap <= 1
"""


def run(*command, cwd, env=None, check=True):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | (env or {})
    command = [str(part) for part in command]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)
    assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def pip(*arguments, cwd):
    """A pip that asks no registry."""
    return run(sys.executable, "-m", "pip", *arguments, "--no-deps", "--no-index", cwd=cwd)


def site_packages(python, cwd):
    return run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=cwd).stdout.strip()


def test_import_loads_at_most_numpy(tmp_path):
    code = f"import sys, physlearn; print([name for name in {HEAVY} if name in sys.modules])"
    assert run(sys.executable, "-c", code, cwd=tmp_path).stdout.strip() == "[]"


def test_every_public_name_resolves():
    missing = [name for name in physlearn.__all__ if not hasattr(physlearn, name)]
    assert missing == []
    assert set(physlearn.__all__) <= set(dir(physlearn))


def test_star_import_and_unknown_names():
    namespace = {}
    exec("from physlearn import *", namespace)
    assert set(physlearn.__all__) <= set(namespace)
    with pytest.raises(AttributeError, match="no attribute 'perceptron'"):
        physlearn.perceptron  # noqa: B018


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (path,) = folder.glob("physlearn-*.whl")
    return path


def contents(wheel):
    return {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}


def test_wheel_carries_the_library_and_the_data_beside_it(wheel):
    expected = {str(path.relative_to(ROOT)) for path in (ROOT / "physlearn").rglob("*.py")}
    expected.add("physlearn/py.typed")
    for pattern in ("simulations/*/study.toml", "theory/*/reference.toml"):
        found = {f"physlearn/share/{path.relative_to(ROOT)}" for path in ROOT.glob(pattern)}
        assert found
        expected |= found
    assert contents(wheel) == expected


def test_wheel_from_the_source_distribution_is_the_same(wheel, tmp_path):
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path, cwd=ROOT)
    (archive,) = tmp_path.glob("*.tar.gz")
    pip("wheel", "--no-build-isolation", archive, cwd=tmp_path)
    (rebuilt,) = tmp_path.glob("*.whl")
    assert contents(rebuilt) == contents(wheel)


def test_wheel_works_without_the_repository(wheel, tmp_path):
    """Installed alone into a new environment that borrows only the dependencies."""
    environment, empty = tmp_path / "environment", tmp_path / "empty"
    empty.mkdir()
    run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=empty)
    python, command = environment / "bin" / "python", environment / "bin" / "physlearn"
    site = site_packages(python, empty)
    Path(site, "borrowed.pth").write_text(site_packages(sys.executable, empty) + "\n")
    assert run(python, "-c", "import physlearn", cwd=empty, check=False).returncode != 0
    pip("--python", python, "install", wheel, cwd=empty)

    script = f"{SOLVE}\nimport physlearn\nprint(physlearn.__file__)"
    assert Path(run(python, "-c", script, cwd=empty).stdout.strip()).is_relative_to(site)
    assert "scan" in run(command, "--help", cwd=empty).stdout
    assert physlearn.__version__ in run(command, "--version", cwd=empty).stdout
    assert list(empty.iterdir()) == []

    out = tmp_path / "out"
    arguments = ("scan", "binary-perceptron-capacity", "--profile", "smoke", "--jobs", "1", "--out", out)
    run(command, *arguments, cwd=empty)
    assert {"result.nc", "figure.png"} <= {path.name for path in out.iterdir()}


# Root writes wherever it likes, by a capability that this gives up for good before it starts Python again.
AS_ANYBODY = """
import ctypes, os, sys
CAP_DAC_OVERRIDE, PR_CAPBSET_DROP = 1, 24
if os.geteuid() == 0 and ctypes.CDLL(None, use_errno=True).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0):
    sys.exit(77)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
ON_READ_ONLY_GROUND = f"""
import os, pathlib, physlearn
package = pathlib.Path(physlearn.__file__).parent
for folder in (package, package / "kernels", pathlib.Path.home()):
    try:
        (folder / "written").touch()
    except OSError:
        continue
    raise SystemExit(f"{{folder}} can be written to: this would test nothing")
{SOLVE}
import physlearn.plotting
print(package, os.environ["NUMBA_CACHE_DIR"], os.environ["MPLCONFIGDIR"])
"""


def test_read_only_install_without_a_home_works(tmp_path):
    site, home, temporary = tmp_path / "site", tmp_path / "home", tmp_path / "temporary"
    shutil.copytree(ROOT / "physlearn", site / "physlearn", ignore=shutil.ignore_patterns("__pycache__"))
    home.mkdir()
    temporary.mkdir()
    for folder in (home, site, *(path for path in site.rglob("*") if path.is_dir())):
        folder.chmod(0o555)
    environment = {"PYTHONPATH": str(site), "HOME": str(home), "XDG_CACHE_HOME": str(home)}
    environment |= {"TMPDIR": str(temporary), "NUMBA_CACHE_DIR": ""}
    environment |= {"XDG_CONFIG_HOME": "", "MPLCONFIGDIR": ""}
    command = (sys.executable, "-c", AS_ANYBODY, "-c", ON_READ_ONLY_GROUND)
    done = run(*command, cwd=temporary, env=environment, check=False)
    if done.returncode == 77:
        pytest.skip("this root cannot give up its right to write everywhere")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    package, *caches = (Path(path) for path in done.stdout.split())
    assert package == site / "physlearn"
    for cache, content in zip(caches, ("*.nbc", "fontlist*.json"), strict=True):
        assert cache.parent == temporary
        assert cache.stat().st_mode & 0o777 == 0o700
        assert list(cache.rglob(content))
    assert run(*command, cwd=temporary, env=environment).stdout == done.stdout


@pytest.mark.parametrize("trap", ["writable by others", "a link"])
def test_cache_folder_that_others_could_fill_is_not_used(tmp_path, monkeypatch, trap):
    from physlearn import folders

    monkeypatch.setattr(folders.tempfile, "tempdir", str(tmp_path))
    expected = Path(folders.private_folder("numba"))
    assert folders.private_folder("numba") == str(expected)
    if trap == "a link":
        expected.rename(tmp_path / "elsewhere")
        expected.symlink_to(tmp_path / "elsewhere")
    else:
        expected.chmod(0o777)
    chosen = Path(folders.private_folder("numba"))
    assert chosen != expected
    assert chosen.stat().st_mode & 0o777 == 0o700


def test_version_is_written_once():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "version" in project["dynamic"]
    assert f"[{physlearn.__version__}]" in (ROOT / "CHANGELOG.md").read_text()
