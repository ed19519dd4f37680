"""The audit log: what happened that matters for security, by whom, to what, in a chain that shows every change of it.

``events`` names what is recorded, ``chain`` is the arithmetic (no I/O), ``log`` writes entries in the transaction of
what they tell, so that neither is ever there without the other.
"""
