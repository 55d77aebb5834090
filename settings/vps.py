"""Like base, for a small server under systemd or cron: `SCRAPY_PROJECT=vps scrapy ...`."""

# isort: off
# The order counts: what the profile changes is put over your own.
from settings.base import *  # noqa: F403
from marketarchive.settings.vps import *  # noqa: F403
