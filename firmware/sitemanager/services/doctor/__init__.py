"""The doctor: looks at everything between the machine and the GateManager, and says what to do in plain words.

here         cables, addresses, somebody else with our address, overlap
gatemanager  names, ports, proxies, who answers in its place, the clock
way          captive portals and the longest packet
machine      each device
part         all of it in order, and the letter
"""
