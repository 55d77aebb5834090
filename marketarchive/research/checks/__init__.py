"""What holds of an archive of any venue, a check a file."""
