"""Settings for `SCRAPY_PROJECT=vps scrapy ...`: those of base.py, changed for a small server."""

# isort: off
# The order counts: the profile's changes override your own settings.
from settings.base import *  # noqa: F403
from marketarchive.settings.vps import *  # noqa: F403
