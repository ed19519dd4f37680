"""The front door: one service on every configured port.

``listeners`` accept, ``places`` (core) bounds what strangers take, ``peek`` looks at the first bytes without consuming
them, ``door`` decides by them who serves: the appliance side by ALPN, browsers (``browsers``), or a redirect for plain
HTTP (``redirect``, core). ``turns`` limits handshakes, ``strangers`` counts and logs, boundedly, what went wrong.
"""
