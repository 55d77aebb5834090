"""Settings of the profile `live`; the other files of this folder have the changes of other profiles.

A comment at each changed Scrapy setting states Scrapy's default and why this project's value differs.
"""

from pathlib import Path

from marketarchive.version import __version__

_spiders = Path(__file__).parent.parent / "spiders"

# ---- what Scrapy loads -----------------------------------------------------------------------------------

BOT_NAME = "marketarchive"
# Each module by itself: of a package, Scrapy skips all modules behind one that cannot be imported.
SPIDER_MODULES = [f"marketarchive.spiders.{path.stem}" for path in sorted(_spiders.glob("[a-z]*.py"))]
COMMANDS_MODULE = "marketarchive.commands"

# ---- where everything goes -------------------------------------------------------------------------------

# Folder of the archive and all that is derived from it; ~ is the home folder.
OUTPUT_DIR = "pipelines_out"
# SQLAlchemy URL of the market master; None = SQLite at OUTPUT_DIR/master.db, "" = no master (files only).
MASTER_URL = None
# Price snapshots to keep: "changes", those that differ and one a day; "all", one per observation of a market.
MASTER_SNAPSHOTS = "changes"
# Most rows that wait for the database; others are counted (master/rows_skipped) and are only in raw/.
MASTER_QUEUE = 10_000
# Seconds (wall) that the end of a run waits for the database to be written.
MASTER_CLOSE_TIMEOUT = 10

# ---- exports ---------------------------------------------------------------------------------------------

# Folder that `scrapy export` writes to; "" = OUTPUT_DIR/exports.
EXPORT_DIR = ""
# SQLite database of the program wwatcher, whose whale alerts go into exports; "" = none.
WWATCHER_DB_PATH = ""

# ---- the raw archive -------------------------------------------------------------------------------------

# Seconds (wall) between two fsyncs: a crash loses at most what came since the last one.
ARCHIVE_FLUSH_S = 1.0
# Seconds (project clock) in one gzip member; each member can be checked and read alone.
ARCHIVE_MEMBER_S = 60
# Seconds (project clock) in one segment, aligned to the UTC hour.
ARCHIVE_SEGMENT_S = 3600
# Compressed bytes after which a segment ends early.
ARCHIVE_SEGMENT_BYTES = 512 * 2**20
# Compression level: 0 to 3 with ISA-L, 0 to 9 without; None = 3 with ISA-L, 6 without.
ARCHIVE_GZIP_LEVEL = None
# Seconds (project clock) after the end of a UTC day until its files in records/ are final.
ARCHIVE_DAY_GRACE_S = 600
# Bytes waiting to be written above which spiders send no further requests.
ARCHIVE_BUFFER_SOFT = 32 * 2**20
# Seconds (wall) without progress of the writer after which the run ends with reason disk.
ARCHIVE_STALL_S = 30

# Free megabytes (2**20 bytes) of the archive's disk below which a warning is logged, once an hour; 0 = never.
DISK_WARN_FREE_MB = 2048
# Free megabytes below which collecting ends, sealed and with exit code 3; nothing is ever deleted; 0 = never.
DISK_STOP_FREE_MB = 256

# ---- a service manager -----------------------------------------------------------------------------------

# Seconds (wall) without a line or row after which signs of life alone no longer kick systemd's watchdog.
WATCHDOG_QUIET_S = 7200

# ---- joining small segments ------------------------------------------------------------------------------

# Hours (project clock) since the end of a UTC hour after which `scrapy compact` joins its small segments.
COMPACT_OLDER_THAN_H = 24
# Size in MB (1,000,000 bytes) below which a segment is small.
COMPACT_SMALLER_THAN_MB = 8

# ---- politeness ------------------------------------------------------------------------------------------

# Named, with the project's purpose; venues' firewalls refuse library defaults. Put your own contact here.
USER_AGENT = f"marketarchive/{__version__} (archives public market data; read-only)"
# robots.txt is about crawling web pages. We request documented public API endpoints only, under their
# documented limits; docs/METHODOLOGY.md explains. Page spiders set this to True for themselves.
ROBOTSTXT_OBEY = False
# Highest share of each venue's documented request limit that is used.
LIMIT_SHARE = 0.5
# How often a request is sent at most, when the venue answers 429, 5xx, an unreadable body or not at all.
REQUEST_ATTEMPTS = 5
# Longest Retry-After that is waited for, seconds (project clock); a longer one ends the request with a gap,
# and a refused connection is tried again after this time.
RETRY_AFTER_MAX_S = 300

# ---- metrics ---------------------------------------------------------------------------------------------

# Port on 127.0.0.1 where Prometheus reads the figures of this process, with the extra `metrics`; 0 = any free
# one, which the log names; None = no endpoint.
METRICS_PORT = None

# ---- monitors at the end of a run ------------------------------------------------------------------------

# True: Spidermon (extra `spidermon`) checks each run when it has ended; see docs/MONITORING.md.
SPIDERMON_ENABLED = False
# Reasons of gaps for which no run fails: those of the venue or the network, not of this machine.
MONITOR_EXPLAINED_GAPS = "disconnect,stall,rate_limited,blocked,not_served,dns,tls"
# Number of gaps `missed_tick` above which a run fails; the last tick of a run often is such a gap.
MONITOR_MAX_MISSED_TICKS = 1
# Share of answers other than 2xx above which a run fails.
MONITOR_MAX_ERROR_SHARE = 0.05
# Number of invalid parts of messages (`invalid` lines) above which a run fails.
MONITOR_MAX_INVALID = 0

# ---- the catalogue ---------------------------------------------------------------------------------------

# Platforms of `scrapy catalog`, by comma; "" = every venue that has a catalogue.
CATALOG_PLATFORMS = ""
# Minutes (project clock) between two discoveries of new markets.
CATALOG_POLL_MINUTES = 5
# Minutes (project clock) between two snapshots of all active markets.
CATALOG_SNAPSHOT_MINUTES = 15
# Minutes (project clock) between two requests for the results of markets that are over.
CATALOG_RESOLVE_MINUTES = 30
# Requests a second to each platform; the venues' own limits hold as well.
CATALOG_REQUESTS_S = 2.0

# ---- news ------------------------------------------------------------------------------------------------

# Searches a minute at most: search engines refuse a server that sends many.
NEWS_PER_MINUTE = 30
# Markets that are searched for in one cycle; the next cycle continues behind them. 0 = all in each cycle.
NEWS_MARKETS = 200

# ---- streams ---------------------------------------------------------------------------------------------

# Share of one processor that a stream may spend on checking messages as they arrive; `scrapy normalize`
# checks the others.
STREAM_CHECK_SHARE = 0.25

# ---- pages ------------------------------------------------------------------------------------------------

# Seconds (project clock) without a new observation after which a page is opened again.
PAGE_STALE_S = 30
# Seconds (project clock) after which a page is replaced, the new one first.
PAGE_RENEW_S = 3600
# Memory (MB) of a page's scripts, or of a process that renders pages, above which pages are replaced.
PAGE_MEMORY_MB = 1024
# Options for starting Chromium, as JSON, over this project's: {"executable_path": "/opt/chromium/chrome"}.
PLAYWRIGHT_LAUNCH_OPTIONS = "{}"

# ---- for tests and demonstrations ------------------------------------------------------------------------

# URL of a running `scrapy simulate`: requests go there, and time is its time. "" = the real venues.
SIMULATOR_URL = ""
# Simulated steps of this machine's wall clock, "seconds after start:seconds of jump,...", e.g. "60:+5".
CLOCK_STEPS = None
# Dotted path of the class with which the archive writes files; tests let it fail. None = the real disk.
ARCHIVE_FILES = None

# ---- Scrapy, as a collector needs it ---------------------------------------------------------------------

TWISTED_REACTOR = "twisted.internet.asyncioreactor.AsyncioSelectorReactor"
# Class of the event loop; with SIMULATOR_URL always one that the simulator's time waits for.
ASYNCIO_EVENT_LOOP = None
# Default: Scrapy's own; ours imports one venue's modules to run one spider, not those of all.
SPIDER_LOADER_CLASS = "marketarchive.collecting.spider_loader.SpiderLoader"
SPIDER_LOADER_WARN_ONLY = True  # default False; an unfinished spider does not stop the others
# Default True since 2.19: a local server that runs code sent to it. Not in an unattended collector.
REMOTE_CONTROL_ENABLED = False
TELNETCONSOLE_ENABLED = False  # default True
DOWNLOAD_VERIFY_CERTIFICATES = True  # default False
COOKIES_ENABLED = False  # default True; public data needs none
REDIRECT_ENABLED = False  # default True; a redirect is archived, not followed
METAREFRESH_ENABLED = False  # default True; likewise
RETRY_ENABLED = False  # default True; Scrapy's drops the bodies of 429 and 5xx, ours archives them first
HTTPERROR_ALLOW_ALL = True  # default False; every answer is archived before it is classified
COMPRESSION_ENABLED = False  # default True; ours decodes gzip strictly, else keeps the bytes as received
DOWNLOAD_FAIL_ON_DATALOSS = False  # default True; what arrived of a cut body is archived and flagged
# Default: Scrapy's own; ours cancels requests in flight 3 s after a stop.
DOWNLOAD_HANDLERS = dict.fromkeys(("http", "https"), "marketarchive.collecting.downloads.DownloadHandler")
DOWNLOAD_TIMEOUT = 10  # default 180; seconds (wall)
DOWNLOAD_DELAY = 0  # default 0; our limiter paces on the project's clock, Scrapy's slots on the wall's
DOWNLOAD_MAXSIZE = 256 * 2**20  # default 1 GiB
DOWNLOAD_WARNSIZE = 64 * 2**20  # default 32 MiB
CONCURRENT_REQUESTS = 0  # default 16; 0 = no limit: a hung request must not delay a tick
CONCURRENT_REQUESTS_PER_DOMAIN = 256  # default 8; likewise
SCRAPER_SLOT_MAX_ACTIVE_SIZE = 512 * 2**20  # default 5 MB; one large body must not hold back the next tick
REFERER_ENABLED = False  # default True; APIs need none
URLLENGTH_LIMIT = 0  # default 2083; long queries are sent, the venue may refuse them
LOG_LEVEL = "INFO"  # default DEBUG
# Where `scrapy genspider` writes, in a checkout; default: none.
NEWSPIDER_MODULE = "marketarchive.spiders"
# Frames for `scrapy genspider -t sweep`, `polling`, `stream` and `page`; default: Scrapy's own.
TEMPLATES_DIR = str(Path(__file__).parent.parent / "templates")
# Log lines contain no items: an item may contain a whole response body.
LOG_FORMATTER = "marketarchive.collecting.logformat.QuietLogFormatter"

# Feed exports (`-o`, `-O`, FEEDS) write typed items as rows like those of records/, no raw items. Monitors
# run where SPIDERMON_ENABLED is True.
ADDONS = {
    "marketarchive.collecting.feed_exports.FeedExports": 0,
    "marketarchive.collecting.monitoring.Monitoring": 1,
}

DOWNLOADER_MIDDLEWARES = {
    # next to the downloader, so that the time of receipt is taken before any other code runs on the answer
    "marketarchive.collecting.receipt.ReceiptMiddleware": 999,
}
EXTENSIONS = {
    "marketarchive.collecting.extension.RunExtension": 0,
}
ITEM_PIPELINES = {
    "marketarchive.pipelines.validate.ValidatePipeline": 100,
    "marketarchive.pipelines.stamp.StampPipeline": 200,
    "marketarchive.pipelines.raw_archive.RawArchivePipeline": 300,
    "marketarchive.pipelines.records.RecordsPipeline": 400,
    "marketarchive.pipelines.market_master.MarketMasterPipeline": 500,
}
