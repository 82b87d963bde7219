"""`ipamd-agent`, the agent of a node. It knows REST and the plugin's files, and nothing of the service."""
