"""What admins state: changes of pools, reservations, nodes and tokens, each whole or not at all."""
