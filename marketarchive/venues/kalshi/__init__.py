"""Kalshi, read without a key: https://docs.kalshi.com (October 2026)."""
