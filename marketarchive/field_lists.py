"""The lists of fields that documents have, page by page, made of what the code declares."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from marketarchive.archive import ledger_fields, line_fields, manifest_fields
from marketarchive.collecting.polymarket import discovery_files
from marketarchive.field_docs import END, FieldDoc, field_table
from marketarchive.master.tables import (
    column_docs,
    cycles,
    market_changes,
    markets,
    news_context,
    price_snapshots,
)
from marketarchive.plans.kxbtc15m import fields as kxbtc15m
from marketarchive.research import book_at, fills, recorders
from marketarchive.research.labels import label_fields
from marketarchive.research.products.brti import error, seconds
from marketarchive.research.products.catalog import catalogue_fields, prompts, training
from marketarchive.research.products.pairs import seconds as pair_seconds
from marketarchive.research.products.pairs import windows
from marketarchive.research.products.perps import columns as perps
from marketarchive.research.products.updown.canonical import columns as canonical
from marketarchive.research.products.whales import whales
from marketarchive.research.tables.described import described, shared
from marketarchive.venues import record_fields
from marketarchive.venues.kalshi.record_fields import KALSHI
from marketarchive.venues.polymarket.record_fields import ROUNDS


def field_lists() -> Mapping[str, Mapping[str, str]]:
    """Return page -> name of a list -> Markdown. Raises ValueError where a field is not described."""
    return {
        "docs/KXBTC15M.md": {
            "common": field_table(kxbtc15m.COMMON),
            **{kind: field_table(documented) for kind, documented in kxbtc15m.LINES.items()},
        },
        "docs/NEWS_COLLECTOR.md": {"news_context": field_table(*column_docs(news_context))},
        "docs/CATALOG.md": {
            "cycles": field_table(*column_docs(cycles)),
            "whales": field_table(whales.FIELDS),
        },
        "docs/CANONICAL.md": {
            "canonical": field_table(
                canonical.FIELDS, {each.name: str(each.type) for each in canonical.schema()}
            )
        },
        "docs/BRTI.md": {
            "brti": field_table(seconds.FIELDS),
            "error": _of_class(error.ErrorRow, error.FIELDS),
        },
        "docs/BACKFILL.md": {"price_history": described("price_history")},
        "docs/DATA_CONTRACT.md": _contract(),
        "docs/RESEARCH.md": {"catalogue": field_table(catalogue_fields.FIELDS)},
        "docs/TRAINING.md": {
            "training": field_table(training.FIELDS),
            "prompts": field_table(prompts.FIELDS),
        },
        "docs/KALSHI_COLLECTOR.md": {
            "kalshi_row": field_table(KALSHI),
            "pair_seconds": field_table(pair_seconds.FIELDS),
            "pair_windows": field_table(windows.FIELDS),
        },
        "docs/PERPS.md": {
            **{
                table: described(table)
                for table in ("fundings", "candles", "open_interest", "instruments", "borrow_rates")
            },
            "unified": field_table(perps.FIELDS),
        },
        "docs/ORDERBOOK_SCHEMA.md": {
            table: described(table) for table in ("books", "book_changes", "quotes")
        },
        "docs/TABLES.md": {
            "shared": shared(),
            **{table: described(table) for table in ("trades", "reference_prices", "gaps", "coverage")},
            "book_at": _of_class(book_at.BookAt, book_at.FIELDS),
            "fill": _of_class(fills.Fill, fills.FIELDS),
            "recorders": field_table(
                recorders.FIELDS, {each.name: str(each.type) for each in recorders.schema()}
            ),
        },
    }


def _contract() -> Mapping[str, str]:
    """Return the lists of the formats that collecting writes."""
    documented = {
        **line_fields.LINES,
        "payload": line_fields.PAYLOAD,
        "in_parts": line_fields.IN_PARTS,
        "ledger": ledger_fields.COMMON,
        **{f"ledger_{kind}": keys for kind, keys in ledger_fields.ENTRIES.items()},
        "manifest": manifest_fields.MANIFEST,
        "manifest_raw": manifest_fields.RAW,
        "manifest_records": manifest_fields.RECORDS,
        "manifest_summary": manifest_fields.SUMMARY,
        "rounds": ROUNDS,
        "reference": record_fields.REFERENCE,
        "book_rows": record_fields.BOOKS,
        "perp_rows": record_fields.PERPS,
        "gap_rows": record_fields.GAPS,
        "listed": discovery_files.LISTED,
        "discovery": discovery_files.MANIFEST,
        "labels": label_fields.FIELDS,
    }
    tables = {each.name: each for each in (markets, market_changes, price_snapshots)}
    return {
        **{name: field_table(keys) for name, keys in documented.items()},
        **{name: field_table(*column_docs(table)) for name, table in tables.items()},
    }


def with_lists(page: str, name: str, lists: Mapping[str, str]) -> str:
    """Return `page` with each list at its place. Raises ValueError where a place or its list is missing."""
    place = re.compile(f"(<!-- fields of (\\w+) -->\n).*?({END})", re.DOTALL)
    if (found := {each[2] for each in place.finditer(page)}) != lists.keys():
        raise ValueError(
            f"{name}: fields of {', '.join(sorted(found ^ lists.keys()))} have no place, or no list"
        )
    return place.sub(lambda each: f"{each[1]}{lists[each[2]]}{each[3]}", page)


def _of_class(described_class: Any, documented: Mapping[str, FieldDoc]) -> str:
    """Return the list of a dataclass; its properties state their types themselves."""
    types = {each.name: str(each.type) for each in dataclasses.fields(described_class)}
    if missing := types.keys() - documented.keys():
        raise ValueError(f"{described_class.__name__}: {', '.join(sorted(missing))} not described")
    return field_table(documented, {name: kind.replace(" | None", "") for name, kind in types.items()})
