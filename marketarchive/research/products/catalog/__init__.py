"""Catalogue of all markets as they were known at a moment; docs/RESEARCH.md describes its columns."""
