"""What is served over HTTP: the webhooks of providers (FastAPI; extra `web`)."""
