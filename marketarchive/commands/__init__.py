"""Commands of `scrapy`; Scrapy loads all of them for each, and this file before them."""

from marketarchive.interrupts import report_interrupts

report_interrupts("scrapy")
