from __future__ import annotations

from pathlib import Path

from marketarchive.archive.reader import ArchiveReader
from marketarchive.items import Response
from marketarchive.times import SECOND
from tests.archive.writing import FEED, NOON, VENUE, HandClock, writer


def test_segments_that_overlap_are_interleaved_by_time(tmp_path: Path) -> None:
    """Two runs of an hour each, half an hour apart, the second still being written."""
    clock = HandClock()
    times: dict[str, list[int]] = {"a": list(range(0, 60, 4)), "b": list(range(30, 90, 7)), "c": [200]}
    with writer(tmp_path, clock) as made:
        for spider, minutes in times.items():
            run = made.open_run(spider, VENUE, [FEED], {}, {})
            for minute in minutes:
                at = NOON + minute * 60 * SECOND
                seq = run.next_seq(VENUE, FEED)
                run.write(
                    Response(VENUE, FEED, at, seq, "GET", "https://x.example/y", {}, 200, {}, 1.0, b"{}")
                )
            clock.pass_s(60)
            if spider != "b":
                run.close("finished", {}).result(10)
        run.flush().result(10)
        reader = ArchiveReader(tmp_path)
        expected = sorted(minute for minutes in times.values() for minute in minutes)
        in_order = list(reader.messages(by_time=True, open_parts=True))
        assert [(each.received_at - NOON) // SECOND // 60 for each in in_order] == expected
        since, until = NOON + 30 * 60 * SECOND, NOON + 40 * 60 * SECOND
        some = reader.messages(since=since, until=until, by_time=True, open_parts=True)
        assert [(each.received_at - NOON) // SECOND // 60 for each in some] == [30, 32, 36, 37]
        unordered = reader.messages(open_parts=True)
        assert sorted(each.received_at for each in unordered) == [each.received_at for each in in_order]
        assert not list(reader.messages(feed="other", by_time=True))
