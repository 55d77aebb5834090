"""Your own settings for `scrapy` in this checkout; the defaults are in marketarchive/settings/live.py."""

from marketarchive.settings.live import *  # noqa: F403  (a settings file is its base plus what differs)

# For example:
# OUTPUT_DIR = "/data/marketarchive"
# USER_AGENT = "marketarchive (you@example.com; archives public market data; read-only)"
