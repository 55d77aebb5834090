"""Velocity, the successor of Drift on Solana: perpetuals; its data server is the one that Drift had."""
