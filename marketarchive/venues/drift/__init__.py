"""The public archive of Drift, an exchange of perpetuals on Solana that closed on 2026-04-01."""
