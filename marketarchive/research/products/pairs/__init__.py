"""Pairs of rounds: two venues' rounds on the same asset and window, side by side."""
