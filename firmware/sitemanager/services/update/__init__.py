"""Updates of the whole system, one at a time: handed over on the set-up page, or offered by the GateManager.

``part`` takes an update on, ``course`` leads it, ``ledger`` keeps its state in the ``record`` and tells it.
``fetching`` brings a bundle over the control connection, ``intake`` takes one from the page. Nobody here writes a slot
or judges a signature: the guard and RAUC do.
"""
