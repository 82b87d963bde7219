"""The node's ends of the containers' veth pairs: kept as the main plugin made them.

If somebody takes their neighbours, routes or gateways away, or gives a container another MAC, `watching`
hears of it and `repair` puts things right.
"""
