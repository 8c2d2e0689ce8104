"""Reports: terminal text, Markdown and JSON of profiles, advice, plans and runs."""
