"""Ratios within one run: our path against an expert's that does the same work with nothing of ours."""
