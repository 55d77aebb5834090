"""`scrapy export`: the tables and formats that it knows, and the writing of files."""
