"""Exports: a registry of tables and one of formats, and the writing of files."""
