"""Public clients stay apart: in environments of their own, behind calls that carry values and errors."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.clients import calling
from tests.clients.calling import ROOT, SCRIPTS, Client, ClientError, client
from tests.clients.serving import serve

REQUIREMENTS = sorted(SCRIPTS.glob("*.txt"))
STEPS = ("rm -rf", "-m venv", "--requirement", "cp")


def names(requirements: list[str]) -> set[str]:
    """Return the names of distributions, as indexes compare them."""
    found = (re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line) for line in requirements)
    return {re.sub(r"[-_.]+", "-", name[0]).lower() for name in found if name}


def test_our_own_environment_has_none_of_them() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    ours = names([*project["dependencies"], *(line for extra in extras for line in extra)])
    assert {"scrapy", "pytest"} <= ours
    for path in REQUIREMENTS:
        theirs = names(path.read_text(encoding="utf-8").splitlines())
        assert theirs, path
        assert not theirs & ours, path


def test_each_has_a_script() -> None:
    assert REQUIREMENTS
    for path in REQUIREMENTS:
        assert path.with_suffix(".py").exists(), path


@pytest.mark.process
def test_make_makes_an_environment_of_each_and_anew_when_its_requirements_change() -> None:
    for path in REQUIREMENTS:
        file = path.relative_to(ROOT)
        dry_run = ["make", "--dry-run", f"--what-if={file}", "clients"]
        done = subprocess.run(dry_run, cwd=ROOT, capture_output=True, text=True, check=True)
        steps = [line for line in done.stdout.splitlines() if f".clients/{path.stem}" in line]
        assert all(word in step for word, step in zip(STEPS, steps, strict=True)), steps


def test_a_missing_or_old_environment_is_a_skip_that_names_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calling, "ENVIRONMENTS", tmp_path)
    name = REQUIREMENTS[0].stem
    with pytest.raises(pytest.skip.Exception, match="run `make clients`"), client(name):
        pass
    (tmp_path / name).mkdir()
    (tmp_path / name / "installed").write_text("another==1\n", encoding="utf-8")
    with pytest.raises(pytest.skip.Exception, match="run `make clients`"), client(name):
        pass


def test_calls_are_answered_one_by_one_whatever_a_library_prints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def loud(value: int) -> int:
        print("a banner")
        return 2 * value

    calls = [["loud", 21], ["loud", None], ["quiet"], ["loud", 4]]
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(json.dumps(call) + "\n" for call in calls)))
    serve({"loud": loud})
    first, second, third, fourth = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first, fourth) == ({"value": 42}, {"value": 8})
    assert second["error"].startswith("TypeError: unsupported operand")
    assert third == {"error": "KeyError: 'quiet'"}


@pytest.mark.process
def test_an_error_is_raised_here_and_an_end_is_said() -> None:
    script = "import math\nfrom tests.clients.serving import serve\nserve({'sqrt': math.sqrt, 'exit': exit})"
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        started = Client(process)
        assert started.call("sqrt", 9) == 3
        with pytest.raises(ClientError, match="ValueError: math domain error"):
            started.call("sqrt", -1)
        with pytest.raises(AssertionError, match="the client has ended"):
            started.call("exit")
