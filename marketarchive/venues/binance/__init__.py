"""Binance: perpetuals settled in dollars (USD-M futures)."""
