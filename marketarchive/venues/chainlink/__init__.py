"""Chainlink's data streams: pages, the JSON they fetch, the feeds they show. Pure functions."""
