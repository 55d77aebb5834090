"""The catalogue of all markets as they were known at a moment: docs/RESEARCH.md says what stands in it."""
