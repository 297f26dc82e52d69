"""What requests and answers look like; one module an aggregate."""
