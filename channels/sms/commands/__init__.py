"""One module a keyword: its words, and the answer. `channels.sms.vocabulary` lists them."""
