"""What Chainlink's spiders share."""
