"""What is true of customers, interactions and service requests, whatever they are stored in."""
