"""Decides who gets which address: the queue, the decision of a batch, the block search."""
