"""Sweeps as jobs of a Ray cluster: nodes, requests, the files that travel, and access."""
