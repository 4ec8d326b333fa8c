"""The nouns of the product, their states and errors. Imports nothing else of ours."""
