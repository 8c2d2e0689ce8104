"""The words of kistack, without behaviour."""
