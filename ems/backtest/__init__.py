"""Weeks of the closed loop on the simulated estate, at high speed and without sockets.

Cases (window, seed, tariff, house model) are run under several controllers, saved as they
finish, and reported together. May import the demonstration and everything below it; the
command line alone imports this.
"""
