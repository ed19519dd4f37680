"""How an SM or LM gets its certificate: ``claims`` are the right to, ``redeem`` the transactions,
``door`` the conversation.
"""
