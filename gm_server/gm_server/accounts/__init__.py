"""People: ``users`` and their certificates (records), ``export`` (a certificate as a file), ``passwords`` (Argon2id).

Logging in, whatever the way: ``login`` runs it, ``attempts`` and ``methods`` (core) say what is asked for, ``people``
reads it, ``factors`` keeps it, ``totp`` and ``recovery`` (core) are its codes, ``throttle`` (core) slows guessing,
``seals`` (core) are words that are known again, ``issuing`` makes certificates that end with the day.
"""
