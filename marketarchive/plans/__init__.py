"""Plans: sets of spiders that `scrapy collect` runs together.

A module of this package with a `PLAN`, or a package whose module `plan` has one, is a plan; it is registered
nowhere else.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from importlib import import_module

from marketarchive.collecting.together.plan import Plan

DEFAULT = "updown"
"""Name of the plan that runs when the user names none."""


def plans() -> Mapping[str, Plan]:
    """Return every plan, by its name."""
    found: dict[str, Plan] = {}
    for module in pkgutil.iter_modules(__path__):
        name = f"{__name__}.{module.name}"
        plan: Plan = import_module(f"{name}.plan" if module.ispkg else name).PLAN
        found[plan.name] = plan
    return found
