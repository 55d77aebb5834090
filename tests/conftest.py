from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# how long an example takes is the machine's affair, not the code's
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

WHOLE_RUNS = Path(__file__).parent / "e2e"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole runs first: they wait more than they work, so several at once fill a processor, undisturbed by
    tests that only work; and none is left to the end, where one worker would wait for it alone.
    """
    items.sort(key=lambda item: WHOLE_RUNS not in item.path.parents)
