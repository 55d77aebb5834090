"""Tables of Chainlink's stream pages."""
