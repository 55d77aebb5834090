"""Labels: what decided each round, and whether that is proven."""
