"""A synthetic instance, sent through the real route again and again: does a file that is dropped get in?"""
