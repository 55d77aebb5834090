"""Bitstamp's public market data."""
