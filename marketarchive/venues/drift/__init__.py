"""Drift on Solana, as its public archive has it: it ended on 2026-04-01."""
