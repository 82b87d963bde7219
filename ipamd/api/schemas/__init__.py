"""The JSON of the admin API, and its conversion to and from values."""
