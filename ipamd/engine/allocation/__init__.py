"""Who gets which address: the queue before the database, one batch decided, the search in blocks."""
