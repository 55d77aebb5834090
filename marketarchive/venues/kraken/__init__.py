"""Kraken's public market data."""
