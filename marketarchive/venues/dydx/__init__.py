"""dYdX v4: perpetuals on a chain of its own, read from its public indexer."""
