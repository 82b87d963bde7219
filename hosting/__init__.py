"""What a long-running process needs: logs, sockets, systemd, a graceful end, files that change.

Service and agent use it, and it knows neither of them. Its errors are mapped where each of them begins to
listen.
"""
