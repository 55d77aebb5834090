"""Bybit: linear perpetuals settled in USDT."""
