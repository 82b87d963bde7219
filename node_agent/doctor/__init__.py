"""What on this node would break pods, and what to do about it: a look at everything that is not ipamd's own.

It changes nothing. What the agent looks after it asks the running agent for.
"""
