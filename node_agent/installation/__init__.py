"""Install the plugin, its configuration and its credentials on a node, and remove them.

Everything is checked first, and then written under temporary names. When all of it is on disk, the files are
renamed, the network configuration last. So a failure before leaves the node as it was, and after a kill at
any moment each file is either old or new.
"""
