"""The certificate for browsers: made by ourselves, from files of the owner, or from an authority by ACME (RFC 8555).

``settings`` says which, ``bundle`` reads and checks a key with its chain, ``challenges`` holds what an authority asks
to see at the front door, ``authority`` is the conversation with it. ``service.web_certificate`` keeps it fresh.
"""
