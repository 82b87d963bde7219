"""Putting the plugin, its configuration and its credentials on a node, and taking them back.

Everything is checked first and then written under temporary names; only when all of it is on disk are the
names changed, the network configuration's last. So whatever goes wrong before leaves the node as it was, and
a kill at any moment leaves each file old or new.
"""
