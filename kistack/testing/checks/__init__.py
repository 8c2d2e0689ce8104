"""The checks, in the order in which they run: what is declared, what is predicted, what is done, what is opened."""

from kistack.testing.checks import declared, settings, traits, predicting, running, honest, opening, kinds, told  # noqa: F401, I001 - the order counts
