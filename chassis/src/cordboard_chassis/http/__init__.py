"""HTTP habits that every service shares."""
