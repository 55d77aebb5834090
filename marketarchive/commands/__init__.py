"""Commands of `scrapy`, a module each. Scrapy imports all of them to run one, and this module first."""

from marketarchive.interrupts import report_interrupts

report_interrupts("scrapy")
