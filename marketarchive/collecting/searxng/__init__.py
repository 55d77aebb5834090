"""Headlines from a SearXNG of the user's own."""
