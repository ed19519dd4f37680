"""Text messages (SMS): ``settings`` (which providers, in which order), ``sender`` (failover), one module a provider."""
