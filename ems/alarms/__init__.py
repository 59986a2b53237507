"""Rules of alarms, pure: facts → causes → alarms → messages that are due.

``rules`` says what is wrong, ``life`` when an alarm opens and closes and which messages
are due, ``words`` what they say. Imports only :mod:`ems.domain`; gathering facts, keeping
alarms and sending messages is the work of :mod:`ems.service`.
"""
