"""Venues on loopback, speaking their own protocols, with a known truth and faults to order.

`https://HOST/PATH` is served at `http://127.0.0.1:PORT/HOST/PATH`.
"""
