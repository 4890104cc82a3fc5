"""What an operator does to members and users, and the first start on an empty store."""
