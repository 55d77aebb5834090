"""OKX: perpetual swaps settled in USDT."""
