"""Pages: looked at in one Chromium; what they fetch by themselves is archived."""
