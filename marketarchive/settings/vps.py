"""Profile `vps`, for a small server under systemd or cron: fewer log lines, less memory, more free disk."""

LOG_LEVEL = "WARNING"
# systemd's journal adds the time to each line itself.
LOG_FORMAT = "%(levelname)s [%(name)s] %(message)s"
# A small server has little memory: hold back earlier.
ARCHIVE_BUFFER_SOFT = 8 * 2**20
# Its disk is small too, and the system writes there as well.
DISK_WARN_FREE_MB = 5120
DISK_STOP_FREE_MB = 1024
