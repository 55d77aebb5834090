"""Base classes of Kalshi's spiders."""
