"""Does a SiteManager's daemon grow? The real daemon and its page, in the lab, with a real GateManager.

    python -m bench.soak sessions [--count 10000]       sessions opened and closed
    python -m bench.soak alone [--minutes 60]           no GateManager answers

``held`` is what a daemon holds at one moment, ``counted`` the daemon with a signal that has it count its tasks and
objects, ``caller`` the PC's side of many sessions without a PC's network, ``verdict`` says grown or not grown.
"""
