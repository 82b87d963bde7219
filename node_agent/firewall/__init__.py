"""Other people's firewalls on the node: what drops packets of ours, and an accept where they look.

`accepting` writes into nftables, in which iptables-nft, UFW and firewalld keep their rules too; `legacy` into
the older iptables. `keeping` puts back what a reload took away. `permission` is what an admin allowed.
"""
