"""The raw archive: received bytes in gzip segments, on the disk within a second, entered in a ledger."""
