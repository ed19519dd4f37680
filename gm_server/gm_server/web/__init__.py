"""What browsers see. For now: a status page, and a health check for whoever watches over the service."""
