"""The record of 15-minute markets, a line a second: Kalshi and exchanges joined while they are collected."""
