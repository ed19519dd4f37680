"""What the LinkManager decides without any I/O: names, remembered keys, and the words between command and agent."""
