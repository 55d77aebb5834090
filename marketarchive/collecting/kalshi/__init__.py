"""What Kalshi's spiders stand on."""
