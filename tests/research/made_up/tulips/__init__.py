"""What is true of the exchange of tulip bulbs."""
