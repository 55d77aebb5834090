"""Profile `simulator`: every venue is the simulator on this machine."""

# Where `simulate` listens. Venue URLs are mapped to it just before use; its clock is ours.
SIMULATOR_URL = "http://127.0.0.1:8900"
# Default True: proxies of the environment. The simulator is on this machine.
HTTPPROXY_ENABLED = False
