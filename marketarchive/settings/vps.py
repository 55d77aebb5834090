"""Profile `vps` for a small server under systemd or cron: quieter logs, less memory."""

LOG_LEVEL = "WARNING"
# The journal stamps lines itself.
LOG_FORMAT = "%(levelname)s [%(name)s] %(message)s"
# A small server has little memory: hold back earlier.
ARCHIVE_BUFFER_SOFT = 8 * 2**20
