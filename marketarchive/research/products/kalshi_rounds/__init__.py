"""Kalshi's 15-minute rounds: labels by means of the index that are published, archived or estimated."""
