"""The settings of each profile: live.py has all, simulator.py and vps.py what these profiles change."""

from __future__ import annotations

from scrapy.settings import Settings

PROFILES = ("live", "simulator", "vps")


def profile_settings(profile: str) -> Settings:
    """Return Scrapy's settings for one of PROFILES, set at Scrapy's priority `project`."""
    settings = Settings()
    for module in dict.fromkeys(("live", profile)):
        settings.setmodule(f"{__name__}.{module}", priority="project")
    return settings
