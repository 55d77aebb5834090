"""The market master: the facts of every market, the journal of their changes, and price snapshots.

`engine` opens and migrates it, `upsert` writes, `queries` reads, `rebuild` makes it again from raw, `compare`
finds where two masters differ.
"""
