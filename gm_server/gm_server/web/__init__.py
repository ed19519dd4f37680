"""What browsers see: the portal.

    app        every route        visits     one request of somebody who is signed in; ``Portal.page``
    pages/     a module a part    visitors   the cookie, and whose it is
    streams    ``/live``          forms      what is sent, and from where it must come
    rendering  templates          texts      the catalogue of texts: ``texts/``, every language
    assets     static files       headers    of every answer

Pages call ``gm_server.acts`` and, for what runs, ``gm_server.service.live``; nothing below them.
"""
