"""What is asked: services that cost next to nothing, proxies before them, and the app over them."""
