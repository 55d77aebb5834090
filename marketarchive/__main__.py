"""Entry point of `python -m marketarchive`."""

from marketarchive.command_line import main

main()
