"""`scrapy genspider` gives frames that pass the conventions of every spider."""

from __future__ import annotations

import importlib.util
import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from marketarchive.clock import RealClock
from marketarchive.collecting.streams.stream import StreamSpider
from marketarchive.exceptions import ParseError
from marketarchive.items import Invalid
from marketarchive.venues.endpoint import Endpoint, Limit

pytestmark = pytest.mark.process


@pytest.mark.parametrize("template", ["sweep", "cadence", "stream"])
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


def test_the_frame_of_a_stream_says_all_that_its_base_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loaded beside a venue of three names, it takes a message that can be read and one that cannot."""
    venue = ModuleType("marketarchive.venues.example")
    venue.ticks = SimpleNamespace(  # type: ignore[attr-defined]  # what an author of a venue writes
        SOCKET=Endpoint("ticks", "wss://example.com/ticks", Limit("example/ticks", 10, unit="connections")),
        KEYS=("a", "b"),
        subscribe=" ".join,
        decode=_decode,
    )
    monkeypatch.setitem(sys.modules, "marketarchive.venues.example", venue)
    command = [sys.executable, "-m", "scrapy", "genspider", "-t", "stream", "example_ticks", "example.com"]
    subprocess.run(
        [*command, "-s", "NEWSPIDER_MODULE="],
        capture_output=True,
        cwd=tmp_path,
        env={"SCRAPY_SETTINGS_MODULE": "settings.base", "PYTHONPATH": str(Path.cwd()), "PATH": ""},
        check=True,
    )
    spec = importlib.util.spec_from_file_location("example_ticks", tmp_path / "example_ticks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = module.ExampleTicks
    unwritten = {
        name
        for name, member in vars(StreamSpider).items()
        if inspect.isfunction(member) and "raise NotImplementedError" in inspect.getsource(member)
    }
    assert unwritten == {"prepare", "subscriptions", "take"}
    assert unwritten <= vars(made).keys()
    stated = {name for name in inspect.get_annotations(StreamSpider) if not hasattr(StreamSpider, name)}
    assert stated <= vars(made).keys()

    counted: dict[str, int] = {}
    spider = made()
    stats = SimpleNamespace(inc_value=counted.__setitem__)
    spider.run = SimpleNamespace(stats=stats, clock=RealClock())
    link = spider.new_link(["a", "b"])
    spider.take(link, [(5, 1, b"a"), (6, 2, b"?")])
    assert link.waiting == {"b"}
    assert (link.data_at, link.newest_event) == (5, 4)
    assert counted == {"frames/good/ticks": 1}
    invalid = spider._outbox.get_nowait()
    assert isinstance(invalid, Invalid)
    assert spider.subscriptions(["a", "b"], is_first=True) == ["a b"]


def _decode(payload: bytes) -> list[SimpleNamespace]:
    if payload == b"?":
        raise ParseError("Tick", "no tick")
    return [SimpleNamespace(key=payload.decode(), sent_ns=4)]
