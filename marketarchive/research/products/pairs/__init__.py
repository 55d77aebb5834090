"""Rounds of two venues on the same asset and window, side by side on one clock."""
