"""What people said: files of labels, sheets to fill in, and which items to label next."""
