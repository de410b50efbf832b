"""What a board does for the town, one file a service, named by the word `service` of the configuration (README.md)."""
