"""The sample article and its question set, as package data."""
