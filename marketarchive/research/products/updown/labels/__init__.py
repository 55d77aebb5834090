"""Labels of up/down rounds: what decided each round, and how far it is proven."""
