"""The half of the link that dials out: what SiteManager and LinkManager do alike towards the GateManager.

``endpoints`` lists the ways to the GM in order, ``proxy`` speaks HTTP CONNECT, ``dial`` races the ways, ``contact``
makes a TLS connection and judges it by the pin (following a succession), ``enrolment`` turns a claim into a
certificate, ``keeper`` keeps a control connection for as long as the program runs, ``leg`` opens one leg of a session
and the end-to-end TLS over it.
"""
