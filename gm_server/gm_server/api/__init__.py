"""The REST API ``/api/v1``: what programs do here, for a user, by a token of his.

``endpoints`` is what an endpoint is, ``resources`` the tables of all of them, each an act with its address; ``reading``
makes typed values of a request, ``problems`` answers of what went wrong, ``app`` serves them, ``openapi`` describes
them: from the same tables and types, so that the description cannot be wrong. ``limits`` (core) bounds how much.
"""
