"""The agent's part in leases: it makes the store of this node, fills it with seats, and empties it."""
