"""TAP adapters, addresses, routes, names and the service on Windows 10 and 11. NEVER RUN THERE: see docs/windows.md.

    dlls         the functions that are called, with their types
    layouts      structures of the SDK, with fixed sizes on every system
    overlapped   files, pipes and devices with overlapped I/O; ``tap_device`` is tap-windows6 over it
    ip_helper    addresses, neighbours and routes (iphlpapi.dll); ``network`` is ``lm_client.host.Network`` over both
    nrpt, names  the rule that sends questions for ``gatelink`` to our resolver, and nothing else
    registry     HKEY_LOCAL_MACHINE
    security     who somebody is, by SID; ``callers`` who may use the service
    scm, service the Windows service
    com0com      how an application has set its end of a pair of serial ports

Each takes its DLL (or registry) as an argument: tests give a fake one, or that of Wine.
"""
