"""What the admin API takes and gives as JSON, and its way to and from plain values."""
