"""Backup and restore: everything of one GateManager in one encrypted file.

``vault`` is the encryption of a stream, ``content`` what is in it and how it is checked, ``making`` writes a backup
beside the running server, ``restoring`` puts one in the place of a data directory: all of it or nothing.
"""
