"""`make soak`: thousands of files, random failures and kills, and at the end every file is asked after."""
