"""Joint training: a content loss, a deep model and a feedback model."""
