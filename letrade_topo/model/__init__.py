"""The topology as values.

Standard library only; no file, socket, clock or environment. Everything else in the package is a
function of what is defined here.
"""
