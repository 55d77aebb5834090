"""The library `polars`, which is handed Arrow tables."""

from __future__ import annotations

from typing import Any

import polars
import pyarrow as pa

from tests.clients.serving import serve


def read(path: str) -> dict[str, Any]:
    """Return types by column, and the rows as text, of a table in a file of Arrow's IPC."""
    with pa.OSFile(path) as file:
        found = polars.from_arrow(pa.ipc.open_file(file).read_all())
    assert isinstance(found, polars.DataFrame)
    return {
        "types": {name: str(kind) for name, kind in found.schema.items()},
        "rows": [{name: str(value) for name, value in row.items()} for row in found.to_dicts()],
    }


if __name__ == "__main__":
    serve({"read": read})
