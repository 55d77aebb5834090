"""Plan `updown`: rounds on whether a price goes up or down, and their live display."""
