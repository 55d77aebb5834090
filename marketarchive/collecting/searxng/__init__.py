"""Base class of spiders that search headlines on a SearXNG server of the user's own."""
