"""ipamd, nodes and the network between them in one process, at a time that passes when nobody has work.

What runs is the code that users run: ipamd's engine and routes on SQLite or PostgreSQL, the agent's keeping
of its lease, and the plugin with its store and its spool. Simulated are the clocks, the network, and how a
process ends.
"""
