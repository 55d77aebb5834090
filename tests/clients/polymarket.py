"""Polymarket's own client library, py-clob-client-v2, at the URL that is the argument."""

from __future__ import annotations

import sys
from typing import Any

from py_clob_client_v2.client import ClobClient
from py_clob_client_v2.clob_types import BookParams
from py_clob_client_v2.http_helpers import helpers

from tests.clients.serving import serve

POLYGON = 137
PATIENCE_S = 60.0
"""Seconds (wall) to wait for an answer; the client's own five are few on a busy machine."""


def main(url: str) -> None:
    helpers._http_client.timeout = PATIENCE_S  # noqa: SLF001  (it has no setting for it)
    client = ClobClient(url, POLYGON)

    def get_order_books(tokens: list[str]) -> Any:
        return client.get_order_books([BookParams(token_id=token) for token in tokens])

    serve(
        {
            "get_ok": client.get_ok,
            "get_server_time": client.get_server_time,
            "get_markets": client.get_markets,
            "get_sampling_markets": client.get_sampling_markets,
            "get_order_book": client.get_order_book,
            "get_order_books": get_order_books,
            "get_order_book_hash": client.get_order_book_hash,
            "get_spread": client.get_spread,
            "get_midpoint": client.get_midpoint,
            "get_tick_size": client.get_tick_size,
        }
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
