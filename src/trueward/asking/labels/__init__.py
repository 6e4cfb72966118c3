"""Gold labels by people: a page to label on, tasks for labelling tools, and the merge of what comes back."""
