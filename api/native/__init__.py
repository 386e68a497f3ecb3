"""The native API: doors, what they take and answer, and what they ask for on the way."""
