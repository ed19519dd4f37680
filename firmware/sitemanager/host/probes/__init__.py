"""Questions to devices that disturb none: each is one packet or one short connection, with a deadline."""
