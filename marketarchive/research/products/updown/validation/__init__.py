"""`scrapy validate`: whether labels, dataset, tables and the ledger say what they should, a check a file."""
