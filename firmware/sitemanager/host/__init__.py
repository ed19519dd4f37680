"""What the operating system is asked for: adapters that know no messages and make no decisions."""
