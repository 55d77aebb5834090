"""Profile `simulator`: every venue is the simulator on this machine."""

# Address at which `simulate` listens. Venues are requested there, and its time is used as the time.
SIMULATOR_URL = "http://127.0.0.1:8900"
# Default True: proxies of the environment. The simulator is on this machine.
HTTPPROXY_ENABLED = False
