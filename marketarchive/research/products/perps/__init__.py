"""Perpetuals of all venues in one form: what their rows mean is the same, whatever a venue writes."""
