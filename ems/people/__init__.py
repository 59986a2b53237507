"""Rules about people: flags, their life, and the estimate "may need help".

Pure: no clock, no file, no store. What reads readings and keeps flags is
:mod:`ems.service.people`; what people see is in :mod:`web`. May import `ems.domain` only.
"""
