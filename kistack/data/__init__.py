"""Tables shipped with kistack: figures from the literature with their sources."""
