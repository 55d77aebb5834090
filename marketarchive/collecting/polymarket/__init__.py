"""Base classes of Polymarket's spiders: discovery, polled and streamed books, rows per second, trades."""
