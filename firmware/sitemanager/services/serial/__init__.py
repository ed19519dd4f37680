"""Serial ports of the machine, served on the virtual addresses of their device entries, inside sessions only.

part       ports plugged in and out, sessions that come and go
listeners  a TCP listener for each thing that is offered
client     one connection of a PC, which outlives a break of its session
port       who may use a port: one, or several Modbus masters
bridges    raw bytes and RFC 2217
gateway    Modbus TCP to RTU or ASCII
"""
