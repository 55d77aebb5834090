"""Settings for `SCRAPY_PROJECT=simulator scrapy ...`: those of base.py, with the simulator for all venues."""

# isort: off
# The order counts: the profile's changes override your own settings.
from settings.base import *  # noqa: F403
from marketarchive.settings.simulator import *  # noqa: F403
