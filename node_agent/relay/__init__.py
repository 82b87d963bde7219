"""Passing the plugin's calls on to ipamd: the socket, the node's token, the spool, and the way to ipamd."""
