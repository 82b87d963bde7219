"""What is PostgreSQL's own: connections, locks, statements over arrays, the bounds of every wait."""
