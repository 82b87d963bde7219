"""The rules by which addresses are handed out, each as a table of cases: begin here.

One file answers one question. Nothing runs but pure functions over values: no database, no clock, no network.
"""
