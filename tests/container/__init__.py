"""The worker in its own container, as docker-compose.yml hardens it: `make test-container`."""
