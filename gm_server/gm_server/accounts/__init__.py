"""People: ``users`` and their certificates (records), ``export`` (a certificate as a file), ``passwords`` (Argon2id),
``throttle`` (core: slows guessing).
"""
