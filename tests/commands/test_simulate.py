from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest
from scrapy.settings import Settings

from marketarchive.commands.simulate import Command
from tests.simulator.serving import ROOT, command, environment


def run(*arguments: str) -> int:
    import argparse

    simulate = Command()
    simulate.settings = Settings()
    parser = argparse.ArgumentParser()
    simulate.add_options(parser)
    options, rest = parser.parse_known_args(list(arguments))
    simulate.exitcode = 0
    simulate.run(rest, options)
    return simulate.exitcode


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--start", "tomorrow"], "--start 'tomorrow' is not a time"),
        (["--faults", "no-such-file.json"], "no-such-file.json cannot be read"),
        (["--port", "0", "--speed", "0"], "--speed 0 is not a number above 0"),
        (["--port", "0", "--speed", "nan"], "--speed nan is not a number above 0"),
        (["polymarket"], "takes no argument, got 'polymarket'"),
    ],
)
def test_wrong_options_end_with_a_message_and_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err


def test_a_port_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert run("--port", str(taken.getsockname()[1])) == 2
    assert "cannot be listened on" in capsys.readouterr().err


@pytest.mark.process
def test_an_unknown_fault_ends_the_real_command(tmp_path: Path) -> None:
    (tmp_path / "faults.json").write_text('[{"kind":"fire"}]')
    ended = subprocess.run(
        command("--port", "0", "--faults", str(tmp_path / "faults.json")),
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 2
    assert "kind 'fire' is unknown" in ended.stderr
    assert ended.stdout == ""
