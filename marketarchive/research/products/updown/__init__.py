"""Up/down rounds of Polymarket, decided by Chainlink's prices: labels, dataset, validation."""
