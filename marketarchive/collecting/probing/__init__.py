"""Probes: a few requests to each public endpoint of a venue, and a report on the answers."""
