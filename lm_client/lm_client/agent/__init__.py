"""The part that runs in the background as the user, from ``lm login`` to ``lm logout``.

It alone holds the opened key and the password, in memory:

    door          the Unix socket on which the commands ask
    gatemanager   the control connection
    sessions      all sessions, by name
    session       one of them, from asking for it until nothing of it is left
    wiring        its adapter and routes, over ``adapter``: the service with rights, as seen from here
    carrier       its pump, in a thread of its own
    journal       agent.log
    program       puts it together
"""
