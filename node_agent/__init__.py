"""`ipamd-agent`: what a node needs beside the plugin. It knows REST and the plugin's files, no more."""
