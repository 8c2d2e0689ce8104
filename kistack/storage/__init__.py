"""Where kistack keeps things: the store of artifacts, the ledger of runs, the project folder."""
