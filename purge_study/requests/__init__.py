"""What is asked over HTTP: will this study go? which plans are there? this one is approved; put that study back."""
