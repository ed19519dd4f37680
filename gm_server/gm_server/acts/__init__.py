"""What people do here: each act checks the actor's right, does it and records it, in one transaction.

The portal, the API and the command line call these and nothing below them, so that a right is checked and an entry
written in one place, whoever asks. An act is a function of a database session, ``by`` (an Actor), its arguments and
``now``; it raises NotFound for what the actor may not see, Forbidden for what he may not do, InputError for what cannot
be.
"""
