"""Plugins that each break the contract in one way, and the sound one that they are made from."""
