from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketarchive.exceptions import ParseError
from marketarchive.venues.messages import Parsed
from marketarchive.venues.polymarket import endpoints
from tests.venues.polymarket.rows import market_row, parsed

URLS = [
    endpoints.MARKETS_KEYSET,
    endpoints.EVENTS_KEYSET,
    endpoints.MARKETS,
    endpoints.EVENTS,
    endpoints.SERIES,
    endpoints.market_by_slug("x"),
    endpoints.event_by_slug("x"),
    endpoints.BOOK,
    endpoints.BOOKS,
    endpoints.RESOLUTIONS,
    endpoints.TRADES,
    endpoints.TRADES_V1,
]


@pytest.mark.parametrize(
    "url",
    ["https://clob.polymarket.com/time", "https://example.com/book", "http://clob.polymarket.com.evil/book"],
)
def test_a_route_that_nothing_reads_is_refused(url: str) -> None:
    with pytest.raises(ParseError, match="nothing reads"):
        parsed(url, b"{}")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*market_row(), "markets", "events", "data", "pagination"]), inner, max_size=5
        )
    ),
    max_leaves=12,
)


@given(st.sampled_from(URLS), _JSON | st.binary(max_size=40))
def test_no_body_does_more_than_raise_a_parse_error(url: str, document: object) -> None:
    try:
        result = parsed(url, document)
    except ParseError:
        return
    assert isinstance(result, Parsed)
