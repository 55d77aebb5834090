"""The raw archive: what was received, on the disk within a second, sealed, and provable afterwards."""
