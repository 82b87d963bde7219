"""The changes of admins: pools, reservations, nodes and tokens. Each change is whole or does not happen."""
