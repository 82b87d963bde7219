"""What is SQLite's own: the file, the settings, the thread that writes."""
