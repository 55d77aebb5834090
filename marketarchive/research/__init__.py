"""Tables, labels, checks, exports and notebook frames of an archive; all can be made again from `raw/`."""
