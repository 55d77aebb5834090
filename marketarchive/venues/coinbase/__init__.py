"""Coinbase's public market data."""
