"""TAP adapters, addresses, routes and names on Windows 10 and 11. NEVER RUN ON REAL WINDOWS: see docs/windows.md.

    layouts     structures of the SDK, with fixed sizes on every system: their offsets are tested on Linux
    ip_helper   addresses, neighbours and routes by the IP Helper API (iphlpapi.dll)
    tap_device  tap-windows6: finding an adapter, switching it on, overlapped reading and writing
    nrpt        the rule that sends questions for ``gatelink`` to our resolver, and nothing else

Each takes its DLL (or registry) as an argument: tests give a fake one and compare the calls.
"""
