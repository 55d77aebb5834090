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
        (["--start", "9999-12-31T23:59:59Z"], "--start '9999-12-31T23:59:59Z' is not between 1971-01-01"),
        (["--start", "1066-10-14"], "--start '1066-10-14' is not between 1971-01-01"),
        (["--faults", "no-such-file.json"], "no-such-file.json cannot be read"),
        (["--faults", "/"], "--faults / cannot be read"),
        (["--port", "99999"], "--port 99999 is not a port: 1 to 65535, or 0 for any free one"),
        (["--port", "-1"], "--port -1 is not a port"),
        (["--port", "0", "--truth", "/proc/x"], "--truth /proc/x cannot be written to"),
        (["--port", "0", "--speed", "0"], "--speed 0 is not a number above 0"),
        (["--port", "0", "--speed", "nan"], "--speed nan is not a number above 0"),
        (["--assets", "BTC,DOGE"], "DOGE has no simulated rounds; known: BTC, ETH, SOL, XRP"),
        (["--assets", ","], "--assets=',' is an empty list"),
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


@pytest.mark.parametrize("text", [b"", b"\xff\xfe", b"[" * 100_000, b"{}", b"[1]", b'[{"kind": ["hang"]}]'])
def test_a_file_that_holds_no_faults(text: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "faults.json"
    path.write_bytes(text)
    assert run("--port", "0", "--faults", str(path)) == 2
    assert capsys.readouterr().err.startswith(f"simulate: {path}")


def test_a_refusal_leaves_no_time_page(tmp_path: Path) -> None:
    shared = Path("/dev/shm")
    before = set(shared.glob("marketarchive-time-*"))
    (tmp_path / "file").touch()
    assert run("--port", "0", "--truth", str(tmp_path / "file")) == 2
    assert set(shared.glob("marketarchive-time-*")) == before


@pytest.mark.process
@pytest.mark.parametrize(
    "arguments",
    [["--port", "99999"], ["--port", "0", "--truth", "/proc/x"], ["--start", "soon"]],
    ids=" ".join,
)
def test_the_real_command_says_one_sentence(arguments: list[str]) -> None:
    ended = subprocess.run(
        command(*arguments), cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    [said] = ended.stderr.splitlines()
    assert said.startswith(f"simulate: {arguments[-2]} ")


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
