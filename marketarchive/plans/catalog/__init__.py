"""Plan `catalog`: every market of some platforms, its prices and its outcome, cycle after cycle."""
