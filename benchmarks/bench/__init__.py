"""``make bench``: suites of cells, each measured in a process of its own, against the machine's measured peaks."""
