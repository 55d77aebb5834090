"""Headlines about markets, as they were known at a moment."""
