"""`scrapy genspider` gives frames that pass the conventions of every spider."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("template", ["sweep", "cadence"])
def test_a_frame_is_named_as_its_file_and_has_the_four_keys(template: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "scrapy", "genspider", "-t", template, "--dump"]
    done = subprocess.run([*command, template], capture_output=True, text=True, check=True)
    assert re.findall(r"^    (\w+): ", done.stdout, re.MULTILINE)[:4] == [
        "Source",
        "Arguments",
        "Cadence",
        "Caveats",
    ]
    (tmp_path / "marketarchive").mkdir()
    make = [*command[:-1], "example_symbols", "api.example.com", "-s", "NEWSPIDER_MODULE="]
    made = subprocess.run(
        make,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"SCRAPY_SETTINGS_MODULE": "settings.base", "PYTHONPATH": str(Path.cwd()), "PATH": ""},
        check=True,
    )
    written = (tmp_path / "example_symbols.py").read_text()
    assert "class ExampleSymbols(" in written, made.stdout
    assert 'venue = "example"' in written
    compile(written, "example_symbols.py", "exec")
