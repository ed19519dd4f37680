"""The data path: Ethernet frames between the TAP adapters of a LinkManager and a SiteManager.

One tunnel is one end-to-end TLS connection over the two legs that the GateManager has joined. Inner ring (no I/O):
``framing`` is what the tunnel's bytes mean, ``offload`` what both kernels can do for each other, ``inbound`` cuts
received bytes into frames, ``outbound`` puts frames and control messages in a row, ``liveness`` decides when to ping,
``line_rate`` finds out that a line is slow.
Outer ring: ``tap`` opens the adapter, ``leg_options`` tunes TCP, ``near_end`` is what every end says and counts,
``pump`` (Linux) and ``portable_pump`` (where ``devices`` have no descriptor) run a tunnel in a thread of its own:

    from gatelink.tunnel.pump import Pump, PumpSettings
    from gatelink.tunnel.tap import open_tap

    tap = open_tap("gl0", mtu_bytes=1500)
    pump = Pump(tap, tls, PumpSettings(keepalive_s=25.0))
    end = pump.run()           # in a thread; pump.stop() from any other

The pump owns the TLS connection and closes it; the TAP stays its opener's, so that the next tunnel can go on with it.

Nothing is imported here: the relay's worker needs ``leg_options`` alone, and is to stay small.
"""
