"""What is fast, measured against the peers: `python -m benchmarks.NAME [--quick]`.

Each benchmark compares with the peer in the same run, interleaved, after checking that both give
the same output, and prints one JSON object as its last line.
"""
