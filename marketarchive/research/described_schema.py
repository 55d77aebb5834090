"""Arrow schemas of tables whose columns are declared with descriptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from marketarchive.field_docs import FieldDoc

if TYPE_CHECKING:
    import pyarrow as pa


def described_schema(documented: Mapping[str, FieldDoc]) -> pa.Schema:
    """Return the Arrow schema of columns (name -> description) that state Arrow's names of their types.

    Raises KeyError for another type.
    """
    import pyarrow as pa

    kinds = (
        pa.string(),
        pa.bool_(),
        pa.int32(),
        pa.int64(),
        pa.float64(),
        pa.decimal128(38, 18),
        pa.date32(),
        pa.timestamp("us", tz="UTC"),
    )
    types = {str(kind): kind for kind in kinds}
    return pa.schema([(name, types[each.type]) for name, each in documented.items()])
