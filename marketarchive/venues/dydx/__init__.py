"""dYdX v4: perpetuals on a chain of its own, told by its indexer."""
