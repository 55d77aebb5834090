"""SearXNG, a metasearch engine that one hosts oneself: headlines about markets."""
