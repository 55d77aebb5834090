"""Collections: the spiders of several plans in one process, with a live display and a summary."""
