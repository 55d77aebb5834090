"""Streams over sockets, for any venue: connections, subscriptions, and proof that no message is missing."""
