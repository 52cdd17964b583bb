"""E-mail, which carries the PDFs where there is an address. It has no sender yet: notices go by SMS."""
