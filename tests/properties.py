"""How many examples a property gets: all of them in `make test`, a fifth in `make check`."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "ci")
_SHARE = {"dev": 0.2, "ci": 1.0}


def examples(count: int) -> settings:
    """Return the settings of a property that wants `count` examples; fixtures serve all of them."""
    return settings(
        max_examples=max(2, round(count * _SHARE[PROFILE])),
        deadline=None,  # how long an example takes is the machine's affair, not the code's
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
