"""What is decided, as data and text. No I/O, no asyncio: time and the host's addresses come in."""
