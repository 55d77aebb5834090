"""Faults of Bitstamp: what only the venue itself can do.

- ws_request_reconnect: the request to connect anew comes before the frame hit; the connection goes on
"""

from __future__ import annotations

from marketarchive.simulator.faults import Kind

FAULTS = {
    "ws_request_reconnect": Kind(
        {}, route="ws.bitstamp.net*", text=b'{"event":"bts:request_reconnect","channel":"","data":""}'
    ),
}
