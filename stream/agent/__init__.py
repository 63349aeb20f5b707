"""What the owner of an agent keeps of it: file, habits, breakers, budgets, people's words. Pure."""
