"""Unified data of perpetuals: columns mean the same for all venues."""
