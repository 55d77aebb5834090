"""Together: all feeds of some assets in one process, and how they do."""
