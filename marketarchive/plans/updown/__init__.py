"""Rounds on whether a price goes up or down: their plan, and what is shown of them."""
