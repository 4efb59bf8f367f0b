"""Every hostile file at once, through the whole stack, with a worker killed every few seconds: `make torture`."""
