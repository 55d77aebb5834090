"""The record of 15-minute rounds, read as a frame: docs/KXBTC15M.md says what stands in it."""
