"""What plugin authors read: hook specifications, the contract of stages, and the host that loads plugins."""
