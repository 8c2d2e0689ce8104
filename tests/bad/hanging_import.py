"""Waits for something that never comes while it is imported."""

import threading

threading.Event().wait()
