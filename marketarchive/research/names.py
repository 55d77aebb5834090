"""Which market and outcome a token belongs to: from the manifests of runs, and from the market master."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from marketarchive.archive.ledger import Ledger
from marketarchive.exceptions import MarketArchiveError
from marketarchive.master.engine import connect, sqlite_path, sqlite_url, unusable
from marketarchive.master.fields import FIELDS, STATEMENTS, from_column, to_python
from marketarchive.master.tables import markets

logger = logging.getLogger(__name__)

IDENTITY = ("platform", "market_id", "resolution")
COLUMNS = tuple(name for name in FIELDS if name not in STATEMENTS)


def names(root: Path, master_url: str | None = None) -> dict[str, tuple[str, str]]:
    """Token -> (slug, outcome), as far as finished runs and the master know them.

    A run's manifest is written at its end: of a run that still goes on only the master knows.
    """
    found: dict[str, tuple[str, str]] = {}
    try:
        for row in master_rows(root, master_url, ("slug", "tokens")):
            _take(found, row["slug"] or row["market_id"], row["tokens"])
    except MarketArchiveError as error:
        logger.warning("Slugs come from the manifests alone: %s", error)
    for document in _manifests(root):
        summary = document.get("summary")
        tracked = summary.get("markets", {}).get("tracked", {}) if isinstance(summary, dict) else {}
        for slug, known in tracked.items():
            _take(found, slug, known.get("tokens"))
    return found


def tokens_by_market(names: Mapping[str, tuple[str, str]]) -> dict[str, dict[str, str]]:
    """Slug -> outcome -> token."""
    found: dict[str, dict[str, str]] = {}
    for token, (slug, outcome) in sorted(names.items()):
        found.setdefault(slug, {})[outcome] = token
    return found


def master_rows(
    root: Path, master_url: str | None, columns: Sequence[str] = COLUMNS
) -> Iterator[dict[str, Any]]:
    """platform, market_id, resolution and `columns` of every market; none where there is no master.

    `master_url` is the SQLite file in `root` when None, no master when empty. Raises MasterError.
    """
    if master_url == "":
        return
    engine = connect(sqlite_url(root / "master.db") if master_url is None else master_url)
    path = sqlite_path(engine.url)
    try:
        if path is not None and not path.exists():
            return  # to ask would make one
        with engine.connect() as connection:
            # these columns only: a master that no collector has opened since an upgrade lacks newer ones
            wanted = [markets.c[name] for name in dict.fromkeys((*IDENTITY, *columns))]
            for row in connection.execute(select(*wanted).order_by(markets.c.id)).mappings():
                yield {
                    **{name: row[name] for name in IDENTITY},
                    **{
                        name: to_python(FIELDS[name], from_column(FIELDS[name], row[name]))
                        for name in columns
                    },
                }
    except SQLAlchemyError as error:
        raise unusable(engine, error) from None
    finally:
        engine.dispose()


def _take(found: dict[str, tuple[str, str]], slug: str, tokens: Any) -> None:
    if isinstance(tokens, dict):
        for outcome, token in tokens.items():
            found[str(token)] = (slug, str(outcome))


def _manifests(root: Path) -> Iterator[dict[str, Any]]:
    """Of runs, in the ledger's order."""
    for entry in Ledger(root).entries():
        if entry.kind == "manifest":
            try:
                document = msgspec.json.decode((root / entry["path"]).read_bytes())
            except (OSError, ValueError):
                continue  # `scrapy verify` names it
            if isinstance(document, dict) and "raw" in document:
                yield document
