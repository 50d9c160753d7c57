"""What methods prepare of task vectors, made once for many candidates: in memory, and on the disk."""
