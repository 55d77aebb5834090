"""`scrapy genspider` gives frames that pass the conventions of every spider."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from marketarchive.collecting.streams.stream import StreamSpider
from marketarchive.items import Connection, Frames, Invalid
from marketarchive.scope import Scope
from marketarchive.venues.channel import Channel
from marketarchive.venues.endpoint import Endpoint, Limit
from tests.collecting.letters import LetterSession
from tests.collecting.socket_peer import TEXT, Peer, frame, peer
from tests.collecting.streams import at_work, gaps
from tests.waiting import until_async

pytestmark = pytest.mark.process


@pytest.mark.parametrize("template", ["sweep", "polling", "cadence", "stream"])
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


async def test_the_frame_of_a_stream_says_all_that_its_base_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loaded beside a venue of three names, it takes a message that can be read and one that cannot."""
    subscribed: list[bytes] = []

    async def send_one_of_each(client: Peer) -> None:
        await client.accept()
        subscribed.append((await client.frame())[1])
        await client.send(frame(TEXT, b"ab"), frame(TEXT, b"?"))
        await client.gone()

    async with peer(send_one_of_each) as url:
        endpoint = Endpoint("ticks", url, Limit("example/ticks", 10, unit="connections"))
        venue = ModuleType("marketarchive.venues.example")
        venue.ticks = SimpleNamespace(  # type: ignore[attr-defined]  # what an author of a venue writes
            CHANNEL=Channel(endpoint, "none", "symbol", 10), KEYS=("a", "b"), Session=LetterSession
        )
        monkeypatch.setitem(sys.modules, "marketarchive.venues.example", venue)
        made = await asyncio.to_thread(_made, tmp_path)
        assert _unwritten(StreamSpider) == {"prepare", "new_session"}
        assert _unwritten(StreamSpider) <= vars(made).keys()
        stated = {name for name in inspect.get_annotations(StreamSpider) if not hasattr(StreamSpider, name)}
        assert stated == {"channel"}
        assert stated <= vars(made).keys()

        async with at_work(made, tmp_path / "out") as spider:
            await spider.prepare()
            await until_async(lambda: bool(gaps(spider)))
            opened, frames, invalid, *_ = spider.queued_items()
            assert isinstance(opened, Connection)
            assert (opened.event, opened.subscribe, opened.keys) == ("opened", ("ab",), ("a", "b"))
            assert isinstance(frames, Frames)
            assert [payload for _, _, payload in frames.frames] == [b"ab", b"?"]
            assert isinstance(invalid, Invalid)
            assert invalid.ref_seq == frames.frames[1][1]
            [gap] = gaps(spider)
            assert (gap.reason, gap.to_ns, gap.scope) == (
                "checksum",
                None,
                Scope("example", "ticks", ("a", "b"), opened.connection, kind="symbol"),
            )
            stats = spider.run.stats.get_stats()
            assert (stats["frames/ticks"], stats["frames/good/ticks"]) == (2, 1)
    assert subscribed[0] == b"ab"


def _made(folder: Path) -> type[StreamSpider]:
    """What `scrapy genspider -t stream` wrote, loaded."""
    command = [sys.executable, "-m", "scrapy", "genspider", "-t", "stream", "example_ticks", "example.com"]
    subprocess.run(
        [*command, "-s", "NEWSPIDER_MODULE="],
        capture_output=True,
        cwd=folder,
        env={"SCRAPY_SETTINGS_MODULE": "settings.base", "PYTHONPATH": str(Path.cwd()), "PATH": ""},
        check=True,
    )
    spec = importlib.util.spec_from_file_location("example_ticks", folder / "example_ticks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: type[StreamSpider] = module.ExampleTicks
    return made


def _unwritten(base: type[StreamSpider]) -> set[str]:
    """Methods of `base` that a subclass has to write."""
    return {
        name
        for name, member in vars(base).items()
        if inspect.isfunction(member) and "raise NotImplementedError" in inspect.getsource(member)
    }
