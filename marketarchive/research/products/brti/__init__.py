"""Proxy of the index BRTI at each archived second; docs/BRTI.md defines it and its limits."""
