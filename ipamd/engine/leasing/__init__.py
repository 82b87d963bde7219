"""What nodes hold in advance: who has a lease, which seats a node gets, what it reports."""
