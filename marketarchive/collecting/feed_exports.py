"""Scrapy's feed exports (`-o`, `-O`, FEEDS) of what this project's spiders yield: one row per typed item.

Raw items (received bytes with their receipt) are left out: they stand in raw/, where checksums prove them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from io import BytesIO
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import msgspec
from scrapy.exceptions import NotConfigured
from scrapy.exporters import (
    BaseItemExporter,
    CsvItemExporter,
    JsonItemExporter,
    JsonLinesItemExporter,
    MarshalItemExporter,
    PickleItemExporter,
    XmlItemExporter,
)
from scrapy.utils.misc import load_object
from scrapy.utils.serialize import ScrapyJSONEncoder

from marketarchive.collecting.spider import ArchiveSpider
from marketarchive.items import Derived
from marketarchive.times import from_datetime, iso

if TYPE_CHECKING:
    from scrapy.crawler import Crawler
    from scrapy.settings import BaseSettings

logger = logging.getLogger(__name__)

FEEDS, FIELDS, EXPORTERS = "FEEDS", "FEED_EXPORT_FIELDS", "FEED_EXPORTERS"
_ENCODER = msgspec.json.Encoder(decimal_format="number")


class FeedExports:
    """Add-on that completes a crawl's feed exports: which items, which columns, how they are written.

    Options that the user stated for an export stay as they are.
    """

    def __init__(self, crawler: Crawler) -> None:
        if not issubclass(crawler.spidercls, ArchiveSpider):
            raise NotConfigured
        self._yields = crawler.spidercls.item_classes

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> FeedExports:
        return cls(crawler)

    def update_settings(self, settings: BaseSettings) -> None:
        feeds = settings.getdict(FEEDS)
        if not feeds:
            return
        has_fields = bool(settings.getdictorlist(FIELDS))
        completed = {
            uri: self._completed(str(uri), options, has_fields=has_fields) for uri, options in feeds.items()
        }
        settings.set(FEEDS, completed, settings.getpriority(FEEDS) or 0)
        exporters = {**FORMATS, **settings.getdict(EXPORTERS)}
        settings.set(EXPORTERS, exporters, settings.getpriority(EXPORTERS) or 0)
        if any(options["item_classes"] == [Derived] for options in completed.values()):
            logger.info("Raw items are not exported; they are in raw/")

    def _completed(self, uri: str, given: Mapping[str, Any], *, has_fields: bool) -> dict[str, Any]:
        options = dict(given)
        classes = tuple(load_object(each) for each in options.get("item_classes") or [Derived])
        options["item_classes"] = list(classes)
        form = options.get("format") or PurePath(uri).suffix.removeprefix(".")
        is_typed = all(issubclass(each, Derived) for each in classes)
        if form == "csv" and is_typed and not has_fields and not options.get("fields"):
            options["fields"] = columns(each for each in self._yields if issubclass(each, classes))
        return options


# ---- rows ------------------------------------------------------------------------------------------------


def columns(classes: Iterable[type[Derived]]) -> list[str]:
    """Return the columns of a table of these item types: `item` (the type), own fields, fields of origin."""
    origin = list(Derived.model_fields)
    own = [name for each in classes for name in each.model_fields if name not in origin]
    return list(dict.fromkeys(["item", *own, *origin]))


def row(item: Derived) -> dict[str, Any]:
    """Return an item as a row, column -> value: times as ISO 8601 text as in records/, decimals unchanged."""
    values = {name: _value(getattr(item, name, None)) for name in columns([type(item)])}
    is_observed = getattr(item, "is_observed", 1)
    values["item"] = type(item).__name__
    values["received_at"] = iso(item.received_at) if is_observed else None
    values["seq"] = item.seq or None
    return values


def _value(value: Any) -> Any:
    return iso(from_datetime(value)) if isinstance(value, datetime) else value


def _text(value: Any) -> Any:
    """Return a value as text or integer, for formats without other types: lists as JSON, None as ""."""
    if value is None:
        return ""
    if isinstance(value, list | tuple | dict | bool):
        return _ENCODER.encode(value).decode()
    return value if isinstance(value, int | str) else str(value)


# ---- exporters -------------------------------------------------------------------------------------------


class _RowWriter(BaseItemExporter):
    """Exporter that turns typed items into rows."""

    def export_item(self, item: Any) -> None:
        super().export_item(row(item) if isinstance(item, Derived) else item)  # type: ignore[safe-super]


class _TextRows(_RowWriter):
    def serialize_field(self, field: Mapping[str, Any], name: str, value: Any) -> Any:  # noqa: ARG002 (Scrapy's)
        return _text(value)


class _DigitsEncoder(ScrapyJSONEncoder):
    """JSON encoder that writes decimals as numbers with all digits, which Python's encoder cannot."""

    def encode(self, o: Any) -> str:
        text = _ENCODER.encode(o)
        return (msgspec.json.format(text, indent=int(self.indent)) if self.indent else text).decode()


class JsonExporter(_RowWriter, JsonItemExporter):
    """Exporter of one JSON list, for `-O x.json`."""

    def __init__(self, file: BytesIO, **options: Any) -> None:
        super().__init__(file, **options)
        self.encoder = _DigitsEncoder(indent=self.indent)


class JsonLinesExporter(_RowWriter, JsonLinesItemExporter):
    """Exporter of one JSON object per line, for `-o x.jsonl`."""

    def __init__(self, file: BytesIO, **options: Any) -> None:
        super().__init__(file, **options)
        self.encoder = _DigitsEncoder()


class CsvExporter(_TextRows, CsvItemExporter):
    """Exporter of CSV, for `-o x.csv`; a file that already has rows gets no second header."""

    def __init__(self, file: BytesIO, **options: Any) -> None:
        if file.seekable() and file.tell():
            options["include_headers_line"] = False
        super().__init__(file, **options)


class XmlExporter(_TextRows, XmlItemExporter):
    """Exporter of XML, for `-O x.xml`."""


class MarshalExporter(_TextRows, MarshalItemExporter):
    """Exporter of Python's marshal format."""


class PickleExporter(_RowWriter, PickleItemExporter):
    """Exporter of Python's pickle format."""


FORMATS: dict[str, type[BaseItemExporter]] = {
    "json": JsonExporter,
    "jsonlines": JsonLinesExporter,
    "jsonl": JsonLinesExporter,
    "jl": JsonLinesExporter,
    "csv": CsvExporter,
    "xml": XmlExporter,
    "marshal": MarshalExporter,
    "pickle": PickleExporter,
}
