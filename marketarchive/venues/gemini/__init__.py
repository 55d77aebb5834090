"""Gemini's public market data."""
