"""The built wheel in an environment and a folder of its own: the program `marketarchive` works there.

What the package depends on is taken from the environment of these tests; the package itself is not.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.harness import Output, serving

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]
NEEDED = ("marketarchive", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from what git would take."""
    source, made = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in NEEDED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*build, "--no-build-isolation", "--wheel-dir", made, source], check=True)
    [found] = made.glob("*.whl")
    return found


class Installed:
    """The wheel in an environment, called in a folder of its own."""

    def __init__(self, environment: Path, folder: Path) -> None:
        self.folder = folder
        self.environment = environment
        self.env = {
            "PATH": f"{environment / 'bin'}:{os.environ['PATH']}",
            "HOME": str(folder),
            "LANG": os.environ.get("LANG", "C.UTF-8"),
        }

    def run(self, line: str, **env: str) -> subprocess.CompletedProcess[str]:
        """A command line, by a shell."""
        return subprocess.run(
            line, shell=True, cwd=self.folder, env={**self.env, **env}, capture_output=True, text=True
        )

    @contextmanager
    def simulator(self) -> Iterator[str]:
        """A running one, by the program itself; its address."""
        command = ["marketarchive", "simulate", "--start", "2026-08-06T23:55:00Z"]
        with serving(command, self.folder, self.env) as url:
            yield url


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", made], check=True)
    [packages] = made.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", str(made / "bin" / "python"), "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", "--ignore-installed", wheel], check=True)
    return made


@pytest.fixture
def installed(environment: Path, tmp_path: Path) -> Installed:
    return Installed(environment, tmp_path)


def test_it_holds_every_file_of_the_package(wheel: Path) -> None:
    files = [path for path in (ROOT / "marketarchive").rglob("*") if path.is_file()]
    listed = {str(path.relative_to(ROOT)) for path in files if path.parent.name != "__pycache__"}
    held = set(zipfile.ZipFile(wheel).namelist())
    assert listed - held == set()
    assert not [path for path in held if path.startswith(("tests", "settings", "benchmarks"))]


def test_its_metadata_says_what_it_is(wheel: Path) -> None:
    from marketarchive.version import __version__

    [name] = [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith("/METADATA")]
    told = zipfile.ZipFile(wheel).read(name).decode()
    assert f"Version: {__version__}\n" in told
    assert "License-Expression: BSD-3-Clause\n" in told
    assert "Provides-Extra: demo\n" in told
    assert f"{name.removesuffix('METADATA')}licenses/LICENSE" in zipfile.ZipFile(wheel).namelist()


def test_it_is_the_wheel_that_answers(installed: Installed) -> None:
    told = installed.run("python -c 'import marketarchive; print(marketarchive.__file__)'")
    assert told.stdout.startswith(str(installed.environment)), told.stderr


def test_a_foreign_project_takes_no_part(installed: Installed) -> None:
    (installed.folder / "scrapy.cfg").write_text("[settings]\ndefault = foreign.settings\n")
    told = installed.run("marketarchive list", SCRAPY_SETTINGS_MODULE="foreign.settings")
    assert told.returncode == 0, told.stderr
    assert "polymarket_orderbook" in told.stdout.split()
    assert told.stderr == ""


@pytest.mark.parametrize(
    ("line", "env"),
    [("marketarchive --profile my list", {}), ("marketarchive list", {"SCRAPY_PROJECT": "my"})],
)
def test_an_unknown_profile_is_refused(line: str, env: dict[str, str], installed: Installed) -> None:
    told = installed.run(line, **env)
    assert told.returncode == 2
    assert "my is not a profile; use one of live, simulator, vps" in told.stderr
    assert told.stdout == ""


@pytest.mark.parametrize(
    ("line", "env", "url"),
    [
        ("marketarchive settings --get SIMULATOR_URL", {}, ""),
        ("marketarchive settings --get SIMULATOR_URL", {"SCRAPY_PROJECT": "default"}, ""),
        ("marketarchive settings --get SIMULATOR_URL --profile simulator", {}, "http://127.0.0.1:8900"),
        ("marketarchive settings --get SIMULATOR_URL", {"SCRAPY_PROJECT": "simulator"}, "http://127.0.0.1:8900"),
        ("marketarchive settings --get LOG_LEVEL --profile=vps", {"SCRAPY_PROJECT": "simulator"}, "WARNING"),
    ],
)  # fmt: skip
def test_a_profile_is_chosen_by_option_or_environment(
    line: str, env: dict[str, str], url: str, installed: Installed
) -> None:
    told = installed.run(line, **env)
    assert (told.returncode, told.stdout.strip()) == (0, url), told.stderr


@pytest.mark.parametrize("line", ["genspider -t sweep kraken_books api.kraken.com", "document"])
def test_what_writes_into_the_source_is_refused(line: str, installed: Installed) -> None:
    before = sorted(installed.environment.rglob("*.py"))
    told = installed.run(f"marketarchive {line}")
    assert told.returncode == 2
    assert "run it in a checkout of marketarchive" in told.stderr
    assert sorted(installed.environment.rglob("*.py")) == before
    assert not list(installed.folder.iterdir())


def test_demo_names_the_extra_that_it_needs(installed: Installed) -> None:
    (installed.folder / "sitecustomize.py").write_text("import sys\nsys.modules['duckdb'] = None\n")
    told = installed.run("marketarchive demo", PYTHONPATH=str(installed.folder))
    assert told.returncode == 2
    assert "duckdb not installed): pip install 'marketarchive[demo]'" in told.stderr


def test_it_collects_verifies_and_names_remedies_that_work(installed: Installed) -> None:
    """In a folder that was empty, against its own simulator, up to the repair of a run that was killed."""
    out = installed.folder / "an archive"
    where = f"-s OUTPUT_DIR={shlex.quote(str(out))}"
    with installed.simulator() as url:
        crawl = "marketarchive crawl polymarket_orderbook -a ahead=10m --profile simulator"
        crawl += f" -s SIMULATOR_URL={url}"
        done = installed.run(f"{crawl} {where}")
        assert done.returncode == 0, done.stderr
        killed = installed.run(
            f"{crawl} -a interval=1s {where} & "
            f"until ls {shlex.quote(str(out))}/raw/*/*/*/*/*.part; do sleep 0.1; done; kill -9 $!; wait"
        )
        assert "Traceback" not in killed.stderr
    assert Output(out).lines("orderbook", "response")
    verified = installed.run(f"marketarchive verify --books {where}")
    assert verified.returncode == 1
    [remedy] = {line.split("`")[1] for line in verified.stdout.splitlines() if "its run is dead" in line}
    assert remedy == f"marketarchive recover -s {shlex.quote(f'OUTPUT_DIR={out}')}"
    assert installed.run(remedy).returncode == 0
    assert installed.run(f"marketarchive verify --books {where}").returncode == 0
    assert sorted(path.name for path in installed.folder.iterdir()) == ["an archive"]
