"""The version, here alone: metadata, the provenance of files and the user agent take it from here."""

__version__ = "0.1.0"

COLLECTOR = f"marketarchive {__version__}"
"""Name of the program that wrote a line; stands in every segment and response line."""
