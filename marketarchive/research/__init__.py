"""From the archive to tables, checks and notebooks. Everything here can be made again from raw."""
