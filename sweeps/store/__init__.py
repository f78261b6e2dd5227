"""What a sweep keeps on disk: its ledger, the lease on it, its folders and its Parquet tables."""
