"""Polymarket's spiders: which rounds, their books polled and streamed, a row a second, trades."""
