"""marketarchive: public market data, archived verbatim, provable afterwards."""

__version__ = "0.1.0"

COLLECTOR = f"marketarchive {__version__}"
"""Who wrote a line; stands in every segment and response line."""
