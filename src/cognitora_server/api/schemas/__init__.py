"""The wire's spelling of the nouns: request models become domain values, domain values become answers."""
