"""Kalshi's 15-minute rounds: what decided each, by means that were published, archived, or estimated."""
