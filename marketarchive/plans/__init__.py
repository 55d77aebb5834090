"""Plans: sets of spiders that `scrapy collect` runs together.

A module here with a `PLAN`, or a package whose module `plan` has one, is a plan: nothing else has to name
it.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from importlib import import_module

from marketarchive.collecting.together.plan import Plan

DEFAULT = "updown"
"""Run when none is named."""


def plans() -> Mapping[str, Plan]:
    """Return every plan by its name."""
    found: dict[str, Plan] = {}
    for module in pkgutil.iter_modules(__path__):
        name = f"{__name__}.{module.name}"
        plan: Plan = import_module(f"{name}.plan" if module.ispkg else name).PLAN
        found[plan.name] = plan
    return found
