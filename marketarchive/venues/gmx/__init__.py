"""GMX v2 on Arbitrum: perpetuals that are traded against pools."""
