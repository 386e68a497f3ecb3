"""Our records in the JSON of the outside, for doors that are asked and notifications that are owed."""
