"""What a whole run comes to, from the labels of some of its items."""
