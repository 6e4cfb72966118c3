"""A language model as the first annotator, corrected by gold labels of people and never taken as gold."""
