"""Like base, but every venue is the simulator on this machine: `SCRAPY_PROJECT=simulator scrapy ...`."""

# isort: off
# The order counts: what the profile changes is put over your own.
from settings.base import *  # noqa: F403
from marketarchive.settings.simulator import *  # noqa: F403
