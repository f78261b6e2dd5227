"""The report of a sweep: one page that a person reads, in sections, and the process that writes it while it runs."""
