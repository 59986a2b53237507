"""Flexibility: an event's life, what can be promised, baselines, delivery and payment.

Pure: it reads no clock, no file and no socket. It may import :mod:`ems.domain` only;
:mod:`ems.service.events` joins it to the store.
"""
