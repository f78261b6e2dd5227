"""Sweeps as jobs of a Ray cluster: nodes, requests, what travels, and who may ask."""
