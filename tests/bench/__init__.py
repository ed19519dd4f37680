"""Measures Gatelink against others: pairs in one run, in the same namespaces, medians of ratios, no pass or fail.

    python -m bench [--only NAME] [--rounds N] [--json build/bench.json]

One file a figure; ``figures`` lists them. ``scene`` is the lab with both competitors up, ``gatelink_path`` brings up
ours (here the data path alone; the one function to change when the control plane is to run too), ``openvpn_hub`` and
``haproxy`` the others, ``probes`` and ``modbus_rate`` are the measuring instruments.
"""
