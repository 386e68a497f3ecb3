"""The Celery edge: decides what runs, runs it, and looks after what was left."""
