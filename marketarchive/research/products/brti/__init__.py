"""The BRTI proxy of each archived second: docs/BRTI.md says what it is and what it is not."""
