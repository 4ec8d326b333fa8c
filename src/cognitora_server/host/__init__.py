"""Linux plumbing shared by the drivers of one machine. Knows the nouns of the product, and nothing above them."""
