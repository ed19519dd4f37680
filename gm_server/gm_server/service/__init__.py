"""The running GateManager behind its front door.

``server`` puts everything together; ``control`` logs SMs and LMs in and makes ``appliance_peer`` and ``user_peer`` of
them, which ``peers`` keeps; ``hello`` says who we are; ``sessions`` opens, changes and ends sessions, ``legs`` joins
their connections, ``supervisor`` decides every live session anew when the records or the time say so; ``presence``
remembers who was here. Enrolment is in ``gm_server.enrolment.door``.
"""
