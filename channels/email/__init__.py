"""E-mail, which carries the PDFs where there is an address: out by SMTP, back in by a door for what returns."""
