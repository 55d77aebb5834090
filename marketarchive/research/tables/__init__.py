"""Parquet tables made from raw: one file per table, venue, feed and UTC day."""
