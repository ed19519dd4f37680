"""The local socket ``DATA/gm.sock``: the command line asks the running server. Who may open it is the administrator.

``messages`` is what is said, ``desk`` the server's end, ``ask`` the command line's.
"""
