"""Small shared things, each in a file named after it. Nothing here imports the rest of shoal."""
