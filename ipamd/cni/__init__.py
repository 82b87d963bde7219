"""The CNI protocol without I/O: bytes to requests, outcomes to bytes, errors to codes."""
