"""Web pages kept open in one Chromium; the answers to their own requests are archived."""
