"""Velocity, the successor of Drift on Solana: perpetuals. It runs the data server that Drift had."""
