"""Tables of Polymarket's feeds: its messages taken apart by DuckDB, its hashes recomputed."""
