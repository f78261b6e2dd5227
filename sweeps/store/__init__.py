"""Storage of a sweep: its ledger, the lease on it, its folders and its Parquet tables."""
