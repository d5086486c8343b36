"""Benchmarks: ratios against a floor and a peer, measured side by side (design page "Performance")."""
