"""Endpoints of the archive of Drift: files of a bucket until 2025-01-08, later days from its data server.

Routes: Drift's documents for the bucket (it covers 2022-11-04 to 2025-01-08, and was still there on
2026-05-27); for the server its final state, from which others still read days of trades in October 2026.
"""

from __future__ import annotations

from marketarchive.venues.endpoint import Endpoint, Limit

SERVER = "https://data.drift.trade"
BUCKET = "https://drift-historical-data-v2.s3.eu-west-1.amazonaws.com"
_PROGRAM = "dRiftyHA39MWEi3m9aunc5MzRF1JYuBsbn6VPcn33UH"

OF_SERVER = Limit("drift/server", 10, window_s=10.0)  # no limit is documented; both figures are ours
OF_BUCKET = Limit("drift/bucket", 50, window_s=10.0)

FUNDING_DAY = Endpoint(
    "drift_funding_day", f"{SERVER}/market/{{symbol}}/fundingRates/{{year}}/{{month}}/{{day}}", OF_SERVER
)
FUNDING_FILE = Endpoint(
    "drift_funding_file",
    f"{BUCKET}/program/{_PROGRAM}/market/{{symbol}}/fundingRateRecords/{{year}}/{{year}}{{month}}{{day}}",
    OF_BUCKET,
)
