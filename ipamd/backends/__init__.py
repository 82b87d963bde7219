"""The storage of allocations: narrow protocols, and a small package for each kind of database."""
