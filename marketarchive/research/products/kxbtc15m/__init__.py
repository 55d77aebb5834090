"""The record of 15-minute rounds read as a frame; docs/KXBTC15M.md describes its rows."""
