; Nothing in here is told apart from data.
