"""The parts that are different for SQLite: the file, the settings, the writing thread."""
