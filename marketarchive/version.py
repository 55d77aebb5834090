"""The program's version, defined only here: package metadata, archived files and the user agent use it."""

__version__ = "0.1.0"

COLLECTOR = f"marketarchive {__version__}"
"""Name and version of the program, in every `segment` and `response` line of the archive."""
