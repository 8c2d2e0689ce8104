"""Plots as inline SVG, drawn from numbers in Python.

The document's style sheet colours them, so they follow its light or dark theme; they need neither script nor network.
matplotlib's SVG backend was the other choice: 25 MB and a second of imports for drawings whose colours are fixed when
they are made. What is needed here is a scale, ticks and six kinds of marks.
"""
