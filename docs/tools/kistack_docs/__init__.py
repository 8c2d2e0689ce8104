"""The reference pages of the documentation, written from the code: ``python -m kistack_docs`` in ``docs/tools``."""
