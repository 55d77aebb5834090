"""Streams: connections that are watched, replaced and resubscribed, whatever a venue sends on them."""
