#!/usr/bin/env bash
# One cycle for cron: discover markets, one pass over the order books, verify what is new.
#
#   run_cycle.sh [OPTION ...]      options are given to each command, e.g. -s OUTPUT_DIR=/data/marketarchive
#
# Exit code: the highest of the commands' (docs/OPERATIONS.md); 1 also when another cycle still runs. What they say goes to
# the log and, when a command failed, its last lines to standard error, which cron mails.
# Environment: MARKETARCHIVE (program), MARKETARCHIVE_HOME (folder to work in), ASSETS (BTC), AHEAD (1h).
set -euo pipefail
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH SCRAPY_PROJECT=${SCRAPY_PROJECT:-vps}

program=${MARKETARCHIVE:-/opt/marketarchive/current/bin/marketarchive}
home=${MARKETARCHIVE_HOME:-/var/lib/marketarchive}
assets=${ASSETS:-BTC}
ahead=${AHEAD:-1h}

cd "$home"
mkdir -p logs
log=$home/logs/run_cycle.log

say() {
    printf '%s %s\n' "$(date --utc +%Y-%m-%dT%H:%M:%SZ)" "$*" >>"$log"
}

# Open for as long as this shell lives; the commands do not inherit it, so that none of them can keep the lock.
exec 9>"$home/logs/run_cycle.lock"
if ! flock --nonblock 9; then
    say "another cycle still runs"
    echo "run_cycle: another cycle still runs: $log" >&2
    exit 1
fi

worst=0
step() {
    local code=0 output
    output=$(mktemp)
    "$program" "$@" >"$output" 2>&1 9>&- || code=$?
    cat "$output" >>"$log"
    say "$1 $2: exit code $code"
    if ((code > 0)); then
        echo "run_cycle: $*: exit code $code" >&2
        tail --lines=5 "$output" >&2
    fi
    rm -f "$output"
    if ((code > worst)); then worst=$code; fi
}

say "cycle begins: assets $assets, ahead $ahead"
step crawl polymarket_markets -a "assets=$assets" "$@"
step crawl polymarket_orderbook -a "assets=$assets" -a "ahead=$ahead" "$@"
step verify --since 1d "$@"
say "cycle ends: exit code $worst"
exit "$worst"
