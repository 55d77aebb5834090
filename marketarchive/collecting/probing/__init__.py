"""Probes: a few questions to each public endpoint of a venue, and the report on the answers."""
