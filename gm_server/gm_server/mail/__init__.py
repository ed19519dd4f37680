"""Mail: ``outbox`` keeps what is to be sent in the transaction that caused it, ``sender`` sends it and tries again.

``settings`` says by which server, ``smtp`` speaks to it, ``letters`` (core) has the texts, ``approvers`` finds to whom.
"""
