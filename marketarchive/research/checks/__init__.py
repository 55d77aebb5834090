"""Checks that hold for an archive of any venue, one per file."""
