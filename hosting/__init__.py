"""What service and agent owe the machine on which they run: sockets, systemd, an end, files that change.

It knows neither of the two. Its errors are mapped once, where each of them begins to listen.
"""
