"""The report of a sweep: one page in sections, and the process that writes it while the sweep runs."""
