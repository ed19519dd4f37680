"""Updates of the whole system, one at a time: handed over on the set-up page, or offered by the GateManager.

``record`` keeps where an update is over restarts, ``fetching`` brings a bundle over the control connection, ``intake``
takes one from the page, ``part`` leads. Nobody here writes a slot or judges a signature: the guard and RAUC do.
"""
