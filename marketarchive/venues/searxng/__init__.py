"""SearXNG, a self-hosted metasearch engine: headlines about markets."""
