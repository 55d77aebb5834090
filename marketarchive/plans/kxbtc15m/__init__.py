"""Plan `kxbtc15m`: a record of 15-minute rounds, a line per second, from Kalshi and spot exchanges."""
