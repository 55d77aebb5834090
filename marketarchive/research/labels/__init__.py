"""Labels: the prices and outcome that decided each round of any venue, and how far they are proven."""
