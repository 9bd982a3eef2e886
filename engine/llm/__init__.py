"""Models behind one protocol: deterministic ones now, language models through their SDKs."""
