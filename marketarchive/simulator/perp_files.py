"""Files of the archives of simulated exchanges."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Sequence
from typing import Any

from marketarchive.simulator.messages import Reply

NO_FILE = Reply(
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code>'
    b"<Message>The specified key does not exist.</Message></Error>",
    404,
    "application/xml",
)
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can hold: the same rows are the same bytes."""


def packed(name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """Return a zip with a CSV in it. name: with `.csv`; header: empty for none."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(header)
    writer.writerows(rows)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name, _EPOCH), text.getvalue(), zipfile.ZIP_DEFLATED)
    return file.getvalue()
