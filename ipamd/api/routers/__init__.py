"""The admin API, a noun a module."""
