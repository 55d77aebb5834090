"""Shared parts of Chainlink's spiders."""
