"""Is the app alive; could it do its work?"""
