"""Add-on that enables Spidermon by one setting, SPIDERMON_ENABLED, with the project's monitors."""

from __future__ import annotations

from importlib.util import find_spec

from scrapy.settings import BaseSettings

from marketarchive.exceptions import ConfigurationError

SUITE = "marketarchive.collecting.monitors.RunMonitors"


class Monitoring:
    """Add-on that lets the monitors run when the engine has stopped, since a run is sealed only then."""

    def update_settings(self, settings: BaseSettings) -> None:
        if settings.getbool("SPIDERMON_ENABLED"):
            check_monitoring(settings)
            from spidermon.contrib.scrapy.extensions import Spidermon

            settings.setdefault_in_component_priority_dict("EXTENSIONS", Spidermon, 500)
            settings.set("SPIDERMON_ENGINE_STOP_MONITORS", [SUITE], priority="addon")


def check_monitoring(settings: BaseSettings) -> None:
    """Check that Spidermon is installed where SPIDERMON_ENABLED is set. Raises ConfigurationError."""
    if settings.getbool("SPIDERMON_ENABLED") and find_spec("spidermon") is None:
        raise ConfigurationError(
            "SPIDERMON_ENABLED needs Spidermon: pip install 'marketarchive[spidermon]', or unset it"
        )
