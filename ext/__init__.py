"""Compiled kernels, each beside its readable twin.

A kernel ``_name.pyx`` does the arithmetic without the interpreter's lock; ``name.py``
validates, documents and calls it; ``name_reference.py`` says the same readably, and
tests hold the two equal. There is no fallback: a kernel that is not built is an
`ImportError` that says how to build it. May import ``ems.domain`` alone.
"""
