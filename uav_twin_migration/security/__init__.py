"""Keys, signatures, certificates and revocation."""
