"""The settings of each profile: all in live.py, what another profile changes in a file of its name."""

from __future__ import annotations

from scrapy.settings import Settings

PROFILES = ("live", "simulator", "vps")


def profile_settings(profile: str) -> Settings:
    """Return Scrapy's settings for one of PROFILES, at the priority of a project's."""
    settings = Settings()
    for module in dict.fromkeys(("live", profile)):
        settings.setmodule(f"{__name__}.{module}", priority="project")
    return settings
