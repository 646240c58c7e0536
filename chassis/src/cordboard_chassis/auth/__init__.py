"""Who is calling, and what part of the organisation that caller may see."""
