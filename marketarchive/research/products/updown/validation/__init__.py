"""`scrapy validate`: checks of labels, dataset, tables and ledger, one check per file."""
