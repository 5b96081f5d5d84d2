"""Every telephony request, and nothing else: one file per provider that only translates."""
