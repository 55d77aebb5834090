"""Polymarket: endpoints, wire models, parse functions, and verification of messages. Pure functions."""
