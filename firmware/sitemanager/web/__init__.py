"""The set-up page, ``sm page``: a process without rights between a technician's browser and the daemon.

    server     sockets on the machine-side ports alone, HTTP and HTTPS; gives root up before it serves
    app        routes, and what holds for all of them: bounds, Host, origin, CSRF, headers, the cookie
    daemon     asks the daemon on the local socket, in the name of the browser's session
    forms      reads what people typed
    pages/     one module for a page or two: ask, show, send on

It keeps nothing: sessions, passwords and configuration are the daemon's. Whoever takes this process over can ask what
the browsers that are logged in just now may ask, and nothing else. No page loads anything from anywhere else; the
templates and the two files of ``static`` are all of it.
"""
