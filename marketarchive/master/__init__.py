"""The market master: what is known of every market, how it came to be known, and its prices.

`engine` opens and migrates it, `upsert` writes, `queries` reads, `rebuild` makes it again from raw, `compare`
tells two masters apart.
"""
