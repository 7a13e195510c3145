"""Other servers, each as its documentation leads a user to build it, and like for like."""
