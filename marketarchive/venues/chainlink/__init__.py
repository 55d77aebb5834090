"""Chainlink's data streams: their pages, the JSON that pages fetch, the feeds that pages show.

Pure functions.
"""
