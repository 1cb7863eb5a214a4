"""Text to vectors: lexical, sentence (MiniLM by default), their cache, and whitening."""
