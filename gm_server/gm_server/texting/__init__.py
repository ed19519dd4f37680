"""Text messages (SMS): ``settings`` says by which providers and in which order, ``sender`` tries them in turn.

``http_provider`` calls any web service, ``smpp`` speaks to an operator's message centre, ``modem`` drives a GSM modem
by AT commands, with ``pdu`` and ``gsm7`` (core), which make the bytes.
"""
