"""Alarms: something that somebody should look at, from when until when.

``conditions`` (core) decides what is wrong at a moment, ``facts`` reads what that needs, ``records`` opens and closes
alarms and tells people, ``settings`` says how patient to be. ``service.alarm_keeper`` does it all, over and over.
"""
