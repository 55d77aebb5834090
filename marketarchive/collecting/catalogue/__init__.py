"""Cycles over all markets of a venue: discover, snapshot, resolve; for any venue with a catalogue."""
