"""Tables: orders are read, chunked, joined, grouped and put together again, by pandas and by its likes."""
