"""Whale alerts of the program wwatcher, joined with the catalogue; docs/CATALOG.md describes the method."""
