"""The admin API, one noun in each module."""
