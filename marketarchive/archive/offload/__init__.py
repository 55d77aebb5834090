"""Off-site copies by rclone: made, verified, recorded, pruned here and brought back."""
