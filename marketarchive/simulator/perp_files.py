"""Writer of the files in the bulk archives of simulated exchanges."""

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
"""Time stamp of all zip members, the earliest possible: equal rows then give equal bytes."""


def packed(name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """Return a zip that contains one CSV.

    name: of the CSV, with `.csv`; header: column names, empty for none; rows: values of each line.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(header)
    writer.writerows(rows)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name, _EPOCH), text.getvalue(), zipfile.ZIP_DEFLATED)
    return file.getvalue()
