"""The library `datasets` of Hugging Face, offline, with its cache in the folder that is the argument."""

from __future__ import annotations

import os
import sys
from typing import Any

from tests.clients.serving import serve


def main(cache: str) -> None:
    # read when the library is imported
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": cache}
    import datasets

    datasets.disable_progress_bars()

    def load(form: str, path: str) -> dict[str, Any]:
        """Return types by column, and the rows as text; form: parquet or json."""
        found = datasets.load_dataset(form, data_files=path, split="train", cache_dir=cache)
        return {
            "types": {name: _type(feature) for name, feature in found.features.items()},
            "rows": [{name: str(value) for name, value in row.items()} for row in found],
        }

    serve({"load": load})


def _type(feature: Any) -> Any:
    """Return the type of a feature as text, of its parts where it has some."""
    if isinstance(feature, dict):
        return {name: _type(each) for name, each in feature.items()}
    if hasattr(feature, "feature"):
        return [_type(feature.feature)]
    return feature.dtype


if __name__ == "__main__":
    main(sys.argv[1])
