"""Document processing: read, fetch, parse, count, summarize."""
