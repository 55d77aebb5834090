"""Hyperliquid: perpetuals settled in USDC."""
