"""What plugin authors read: hook specifications, the contract of stages, and the host that loads plugins."""

#: Version of the hooks and of the contract of stages. A plugin says what it was written against with an attribute of
#: its ``hooks`` module, ``KISTACK_API = "0.9"``; see ``kistack.plugins.loading.api_fault``.
API_VERSION = "0.9"
