"""Pure types: estate, points, readings, comfort, tariffs, forecasts, plans, setpoints.

Nothing here reads a clock, a file or a socket, and nothing here logs. Every
other package may import this one; this one imports only the standard library
and NumPy.
"""
