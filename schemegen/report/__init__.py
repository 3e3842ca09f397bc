"""Analysis to text, JSON and notebook reprs."""
