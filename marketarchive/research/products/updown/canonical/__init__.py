"""The canonical dataset: one row per second of each labelled round."""
