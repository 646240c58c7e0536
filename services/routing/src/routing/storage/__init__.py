"""What is stored, and every statement."""
