"""Who makes a merged tensor: compiled passes, numpy (small sums), torch (other devices and formats)."""
