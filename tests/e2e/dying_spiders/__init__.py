"""Spiders that take the place of others, and fail at first."""
