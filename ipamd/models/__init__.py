"""Plain typed values: what is asked, what is kept, what is answered, what can go wrong."""
