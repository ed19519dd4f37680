"""Serial ports of the host: which there are, and one that is open."""
