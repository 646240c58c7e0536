"""A pytest plugin: services deployed in the test's process, on real PostgreSQL, RabbitMQ and Redis."""
