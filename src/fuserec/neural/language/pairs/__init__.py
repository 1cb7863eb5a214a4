"""A language model that judges who asks and what is offered by their texts."""
