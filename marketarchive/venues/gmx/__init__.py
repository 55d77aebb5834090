"""GMX v2 on Arbitrum: perpetuals against pools."""
