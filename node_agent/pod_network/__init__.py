"""How pods on different nodes reach each other: what ipamd announces, as routes, a tunnel and filters here.

`network` is what ipamd announces, `desired` what the kernel shall have for it: both pure. `reading` is what
the kernel has, `difference` what is to be written. `carrying` keeps all of it true.
"""
