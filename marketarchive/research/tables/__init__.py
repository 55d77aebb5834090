"""Tables from raw: one file per table, feed and UTC day."""
