"""Kinds of faults that the simulated Bitstamp carries out itself.

- ws_request_reconnect: a request to reconnect is sent before the frame that is hit; the connection stays open
"""

from __future__ import annotations

from marketarchive.simulator.faults import Kind

FAULTS = {
    "ws_request_reconnect": Kind(
        {}, route="ws.bitstamp.net*", text=b'{"event":"bts:request_reconnect","channel":"","data":""}'
    ),
}
