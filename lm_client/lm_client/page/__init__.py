"""The local page: what an engineer clicks. ``lm ui`` starts it and opens it in the browser; nobody else gets in.

It has no rights and holds no key: a process of its own that asks the agent, as the commands do. It listens on
127.0.0.1 alone and serves one user:

- the kernel says whose program is at the other end of each connection (``peers``),
- a link with a one-time word, good for a minute, becomes a cookie (``keys``),
- ``Host`` and ``Origin`` must be the page's own: neither another page in the same browser nor a name that somebody lets
  point to 127.0.0.1 can speak to it (``guard``).

``desk`` knows what the agent knows, asks while somebody looks, and is still while nobody does. ``app`` are the pages,
``running`` starts and finds the process. It ends by itself when nobody has looked for half an hour.
"""
