"""What is true, whatever channel asks: books, rules and the services that change them."""
