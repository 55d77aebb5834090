"""Polymarket: URLs, wire models, parse functions, identity and integrity of messages. Pure functions."""
