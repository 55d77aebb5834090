#!/usr/bin/env bash
# One cycle for cron: discover markets, one pass over the order books, verify what is new.
#
#   run_cycle.sh [OPTION ...]      options are given to each command, e.g. -s OUTPUT_DIR=/data/marketarchive
#
# Exit code: the highest of the commands' (docs/OPERATIONS.md); 1 also when another cycle still runs. What they say goes to
# the log and, when a command failed, its last lines to standard error, which cron mails. Where the log cannot be written, as
# on a full disk, the cycle goes on: collecting matters more.
# Environment: MARKETARCHIVE (program), MARKETARCHIVE_HOME (folder to work in), ASSETS (BTC), AHEAD (1h).
set -euo pipefail
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH SCRAPY_PROJECT=${SCRAPY_PROJECT:-vps}

program=${MARKETARCHIVE:-/opt/marketarchive/current/bin/marketarchive}
home=${MARKETARCHIVE_HOME:-/var/lib/marketarchive}
assets=${ASSETS:-BTC}
ahead=${AHEAD:-1h}

cd "$home"
log=$PWD/logs/run_cycle.log
mkdir -p logs 2>/dev/null || true

warn() {
    printf '%s\n' "$1" >&2 || true
}

is_logged=1
write() {
    if ! { printf '%s\n' "$1" >>"$log"; } 2>/dev/null && ((is_logged)); then
        is_logged=0
        warn "run_cycle: $log cannot be written; the cycle goes on"
    fi
}

say() {
    write "$(date --utc +%Y-%m-%dT%H:%M:%SZ) $*"
}

# The lock is on the folder, which needs no room on the disk. It is open for as long as this shell lives; the commands do
# not inherit it, so that none of them can keep it.
exec 9<.
if ! flock --nonblock 9; then
    say "another cycle still runs"
    warn "run_cycle: another cycle still runs: $log"
    exit 1
fi

worst=0
step() {
    local code=0 output
    output=$("$program" "$@" 2>&1 9<&-) || code=$?
    if [[ -n $output ]]; then write "$output"; fi
    say "$1 $2: exit code $code"
    if ((code > 0)); then
        warn "run_cycle: $*: exit code $code"
        warn "$(printf '%s\n' "$output" | tail --lines=5)"
    fi
    if ((code > worst)); then worst=$code; fi
}

say "cycle begins: assets $assets, ahead $ahead"
step crawl polymarket_markets -a "assets=$assets" "$@"
step crawl polymarket_orderbook -a "assets=$assets" -a "ahead=$ahead" "$@"
step verify --since 1d "$@"
say "cycle ends: exit code $worst"
exit "$worst"
