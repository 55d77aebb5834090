"""The market master: a database with the facts of every market, a journal of their changes, price snapshots.

`engine` opens and migrates it, `upsert` writes, `queries` reads, `rebuild` fills it again from the raw
archive, `compare` finds where two masters differ.
"""
