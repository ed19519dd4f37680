"""Questions by which devices say who they are, and what their answers mean: bytes in, ``Identity`` out. No I/O.

Every module parses what any device of a plant sends: it returns None, or an Identity with bounded, printable texts,
for whatever bytes there are. Every question only reads; none of them changes anything in a device.
"""

from .identity import Identity, merged, preset_for, printable_text

__all__ = ["Identity", "merged", "preset_for", "printable_text"]
