"""The guard: runs on MicroPython from boot to power-off, depends on nothing else of ours and not on CPython.

``bootstate`` is the record by which the boot loader chooses a slot, ``partitions`` the partition table, ``decisions``
what is to be done (pure functions), ``slots`` the command that changes the record (also RAUC's boot loader adapter),
``watchdog``, ``leds`` and ``rescue`` the outside, ``main`` the loop. Written in the subset that both Pythons know.
"""
