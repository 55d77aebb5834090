"""Labels: what decided each round of any venue that declares its rounds, and how far that is proven."""
