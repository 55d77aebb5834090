"""Parts of making tables that are Polymarket's own: SQL on its rows, and the coverage of its stream."""
