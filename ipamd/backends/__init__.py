"""Where allocations are kept: narrow protocols, and a small package for each kind of database."""
