"""A held call: gates in their order, budgets, people who are asked, one verdict. Pure."""
